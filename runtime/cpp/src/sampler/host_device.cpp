#include "sampler/host_device.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "sampler/host_memory.h"
#include "sampler/layout.h"

namespace fdcn::impl {

std::size_t HostDevice::free_memory() {
    return static_cast<std::size_t>(std::max<std::int64_t>(0, available_bytes().value_or(0)));
}

std::size_t HostDevice::total_memory() {
    return static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::size_t>(sysconf(_SC_PAGE_SIZE));
}

void* HostDevice::allocate(std::string const&, std::size_t size) {
    std::size_t const whole = (std::max<std::size_t>(size, 1) + Layout::kAlignment - 1) / Layout::kAlignment;
    for (bool const again : {true, false}) {
        if (void* const memory = std::aligned_alloc(Layout::kAlignment, whole * Layout::kAlignment)) return memory;
        if (!again || !spare || !spare()) break;
    }
    throw std::bad_alloc();
}

void HostDevice::free(void* memory) noexcept { std::free(memory); }

void HostDevice::copy(std::string const&, void* to, void const* from, std::size_t size, Copy, Stream) {
    std::memcpy(to, from, size);
}

void HostDevice::clear(void* memory, std::size_t size, Stream) { std::memset(memory, 0, size); }

}  // namespace fdcn::impl
