// Classes by what people call them.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "bundle/manifest.h"
#include "fdcn/fdcn.hpp"

namespace fdcn::impl {

// The names of a manifest, which outlives it, told apart without their letter case; of two equal ones the last counts.
class ClassNames {
public:
    explicit ClassNames(Manifest const& manifest) : manifest_(manifest) {}

    // A class's index from its name or number. Throws Error with the nearest names.
    std::int64_t index(Label const& label);
    // What finds a class again: its name, or its number where the bundle has no names, or finds another by it.
    std::string label(std::int64_t index);

private:
    void fill();
    std::int64_t index_of(std::string const& name);
    std::int64_t checked(std::int64_t number) const;
    std::string hint(std::string const& label) const;

    Manifest const& manifest_;
    std::map<std::u32string, std::int64_t> index_;  // by folded name; filled when first asked
};

}  // namespace fdcn::impl
