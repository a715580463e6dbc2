// What to say of a name that is not known.
#pragma once

#include <string>
#include <vector>

namespace fdcn::impl {

// The names most like a word, letter case aside, and those that it is a part of, as they stand in a sentence; "" where
// there are none.
std::string nearest_names(std::string const& word, std::vector<std::string> const& names);

}  // namespace fdcn::impl
