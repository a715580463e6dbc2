// Reading a file, with the system's own numbers for what goes wrong.
#pragma once

#include <cstddef>
#include <string>

namespace fdcn::impl {

// Every function throws std::system_error of std::generic_category where the file cannot be read.
class InputFile {
public:
    explicit InputFile(std::string const& path);
    InputFile(InputFile const&) = delete;
    InputFile& operator=(InputFile const&) = delete;
    ~InputFile();

    // How many bytes came, up to `size`; 0 at the end.
    std::size_t read(char* into, std::size_t size);

private:
    int descriptor_;
};

std::string read_file(std::string const& path);

// The system's words for one of its numbers.
std::string reason(int error);

}  // namespace fdcn::impl
