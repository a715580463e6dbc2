#include "pipeline/file.h"

#include <atomic>
#include <cerrno>
#include <cstdio>

#include <fcntl.h>
#include <unistd.h>

#include "fdcn/fdcn.hpp"
#include "messages.h"
#include "text/file.h"
#include "text/python_text.h"

namespace fdcn::impl {
namespace {

constexpr mode_t kMode = 0666;  // less what the umask takes

// A new file in a folder, whose name is short whatever the file's own is; below zero where there can be none.
int create(std::string const& folder, std::string& path) {
    static std::atomic<unsigned> files{0};
    int file = -1;
    do {
        path = folder + ".fdcn-" + std::to_string(::getpid()) + "-" + std::to_string(files++);
        file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kMode);
    } while (file < 0 && (errno == EEXIST || errno == EINTR));
    return file;
}

// Zero, or what went wrong.
int write_all(int file, std::vector<std::uint8_t> const& bytes) {
    for (std::size_t done = 0; done < bytes.size();) {
        ssize_t const count = ::write(file, bytes.data() + done, bytes.size() - done);
        if (count < 0 && errno != EINTR) return errno;
        if (count > 0) done += static_cast<std::size_t>(count);
    }
    return 0;
}

}  // namespace

void replace_file(std::string const& given, std::vector<std::uint8_t> const& bytes) {
    std::string const path = path_text(given);
    std::string temporary;
    int const file = create(path.substr(0, path.find_last_of('/') + 1), temporary);
    if (file < 0) throw Error(messages::file::cannot_create(path, reason(errno)));
    int error = write_all(file, bytes);
    if (::close(file) != 0 && error == 0) error = errno;
    if (error == 0 && std::rename(temporary.c_str(), path.c_str()) != 0) error = errno;
    if (error == 0) return;
    ::unlink(temporary.c_str());
    throw Error(messages::file::cannot_write(path, reason(error)));
}

}  // namespace fdcn::impl
