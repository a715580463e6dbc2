// Writing files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace fdcn::impl {

// Write a file whole or not at all: to a temporary name beside it, then renamed. Throws Error where that cannot be
// done.
void replace_file(std::string const& path, std::vector<std::uint8_t> const& bytes);

}  // namespace fdcn::impl
