// Which of an engine's profiles a run takes, and in how many parts: runtime/backends/profiles.py.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bundle/manifest.h"
#include "sampler/network.h"

namespace fdcn::impl {

// As WIDTHxHEIGHTxBATCH, as MIN:OPT:MAX, and several with a space between them.
std::string text(Extent const& extent);
std::string text(Profile const& profile);
std::string text(std::vector<Profile> const& profiles);

bool same(std::vector<Profile> const& a, std::vector<Profile> const& b);

// Consecutive parts [first, second) of `total` things, at most `most` in each, as few and as even as can be.
std::vector<std::array<std::int64_t, 2>> split(std::int64_t total, std::int64_t most);

// The profile for a size, and the parts that the batch goes in; none where no profile holds the size.
//
// Rows of a batch are independent, so that a batch beyond a profile's largest is run in parts. The profile with the
// fewest parts is taken, and of those the one tuned for the nearest size.
std::optional<Fit> fit(std::vector<Profile> const& profiles, Extent const& wanted);

// The profile that a size is the fewest times too small or too large for; there is one at least.
Profile const& nearest(std::vector<Profile> const& profiles, Extent const& wanted);

// A profile that holds a size, in its batch and in smaller ones.
Profile around(Extent const& wanted);

}  // namespace fdcn::impl
