#include "text/file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace fdcn::impl {
namespace {

constexpr std::size_t kChunk = 1 << 16;

[[noreturn]] void fail() { throw std::system_error(errno, std::generic_category()); }

}  // namespace

InputFile::InputFile(std::string const& path) : descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (descriptor_ < 0) fail();
}

InputFile::~InputFile() { ::close(descriptor_); }

std::size_t InputFile::read(char* into, std::size_t size) {
    for (;;) {
        ssize_t const count = ::read(descriptor_, into, size);
        if (count >= 0) return static_cast<std::size_t>(count);
        if (errno != EINTR) fail();
    }
}

std::string read_file(std::string const& path) {
    InputFile file(path);
    std::string content;
    for (;;) {
        std::size_t const before = content.size();
        content.resize(before + kChunk);
        std::size_t const count = file.read(content.data() + before, kChunk);
        content.resize(before + count);
        if (count == 0) return content;
    }
}

std::string reason(int error) { return std::generic_category().message(error); }

}  // namespace fdcn::impl
