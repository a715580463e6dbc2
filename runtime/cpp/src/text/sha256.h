// The hash by which a bundle's files are known.
#pragma once

#include <string>

namespace fdcn::impl {

// Hex digest of a file's content. Throws as InputFile does.
std::string sha256_of_file(std::string const& path);

}  // namespace fdcn::impl
