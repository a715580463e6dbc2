#include "pipeline/file.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <system_error>

#include <sys/stat.h>
#include <unistd.h>

#include "fdcn/fdcn.hpp"
#include "messages.h"
#include "text/python_text.h"

namespace fdcn::impl {
namespace {

constexpr mode_t kReadableByAll = 0644;

std::string reason(int error) {
    return std::generic_category().message(error);
}

// Zero, or what went wrong.
int write_all(int file, std::vector<std::uint8_t> const& bytes) {
    for (std::size_t done = 0; done < bytes.size();) {
        ssize_t const count = ::write(file, bytes.data() + done, bytes.size() - done);
        if (count < 0 && errno != EINTR) return errno;
        if (count > 0) done += static_cast<std::size_t>(count);
    }
    return ::fchmod(file, kReadableByAll) == 0 ? 0 : errno;
}

}  // namespace

void replace_file(std::string const& given, std::vector<std::uint8_t> const& bytes) {
    std::string const path = path_text(given);
    auto const name = path.find_last_of('/') + 1;  // 0 where there is no folder
    std::string temporary = path.substr(0, name) + "." + path.substr(name) + "-XXXXXX";
    int const file = ::mkstemp(temporary.data());
    if (file < 0) throw Error(messages::file::cannot_create(path, reason(errno)));
    int error = write_all(file, bytes);
    if (::close(file) != 0 && error == 0) error = errno;
    if (error == 0 && std::rename(temporary.c_str(), path.c_str()) != 0) error = errno;
    if (error == 0) return;
    ::unlink(temporary.c_str());
    throw Error(messages::file::cannot_write(path, reason(error)));
}

}  // namespace fdcn::impl
