#include "sampler/host_memory.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>

namespace fdcn::impl {

namespace {

// The one whole number of a file, if it holds one.
std::optional<std::int64_t> number_in(char const* path) {
    std::ifstream file(path);
    std::int64_t number = 0;
    if (!(file >> number)) return std::nullopt;
    return number;
}

std::optional<std::int64_t> free_of_machine() {
    std::ifstream file("/proc/meminfo");
    std::string name, unit;
    std::int64_t kibibytes = 0;
    while (file >> name >> kibibytes && std::getline(file, unit))
        if (name == "MemAvailable:") return kibibytes * 1024;
    long const pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGE_SIZE);
    if (pages < 0 || size < 0) return std::nullopt;
    return std::int64_t{pages} * size;
}

}  // namespace

std::optional<std::int64_t> available_bytes() {
    auto free = free_of_machine();
    // cgroup version 2; "max" is no number.
    auto const most = number_in("/sys/fs/cgroup/memory.max"), taken = number_in("/sys/fs/cgroup/memory.current");
    if (free && most && taken) free = std::min(*free, *most - *taken);
    return free;
}

}  // namespace fdcn::impl
