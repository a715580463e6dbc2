// The commands that make a bundle's engine again, as `fdcn.bundle.Target.options` has them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "bundle/manifest.h"

namespace fdcn::impl {

// The option of `fdcn build` for a precision; none for float32.
std::string_view precision_option(std::string_view precision);

// The command that builds an engine of a bundle again, with more profiles.
std::string build_command(std::string const& bundle, Target const& target, std::vector<Profile> const& more = {});

}  // namespace fdcn::impl
