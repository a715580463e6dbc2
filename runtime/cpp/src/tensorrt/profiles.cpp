#include "tensorrt/profiles.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "text/python_text.h"

namespace fdcn::impl {
namespace {

using Numbers = std::array<std::int64_t, 3>;

Numbers numbers(Extent const& extent) { return {extent.width, extent.height, extent.batch}; }

bool holds(Profile const& profile, Extent const& extent) {
    Numbers const low = numbers(profile.min), wanted = numbers(extent), high = numbers(profile.max);
    for (std::size_t i = 0; i < wanted.size(); ++i)
        if (wanted[i] < low[i] || wanted[i] > high[i]) return false;
    return true;
}

// Sum of the logarithms of how many times each number of one size is the other's.
double distance(Extent const& a, Extent const& b) {
    Numbers const from = numbers(a), to = numbers(b);
    double sum = 0.0;
    for (std::size_t i = 0; i < from.size(); ++i)
        sum += std::abs(std::log(static_cast<double>(from[i]) / static_cast<double>(to[i])));
    return sum;
}

Extent clamped(Profile const& profile, Extent const& wanted) {
    Numbers const low = numbers(profile.min), middle = numbers(wanted), high = numbers(profile.max);
    Numbers found;
    for (std::size_t i = 0; i < found.size(); ++i) found[i] = std::min(std::max(low[i], middle[i]), high[i]);
    return {found[0], found[1], found[2]};
}

// Whether a profile holds the shortest and the longest of some parts of a size.
bool holds_parts(Profile const& profile, Extent const& wanted, std::vector<std::array<std::int64_t, 2>> const& parts) {
    return std::all_of(parts.begin(), parts.end(), [&](auto const& part) {
        return holds(profile, {wanted.width, wanted.height, part[1] - part[0]});
    });
}

}  // namespace

std::string text(Extent const& extent) {
    return format_size({extent.width, extent.height}) + "x" + std::to_string(extent.batch);
}

std::string text(Profile const& profile) {
    return text(profile.min) + ":" + text(profile.opt) + ":" + text(profile.max);
}

std::string text(std::vector<Profile> const& profiles) {
    std::vector<std::string> words;
    for (Profile const& profile : profiles) words.push_back(text(profile));
    return joined(words, " ");
}

bool same(std::vector<Profile> const& a, std::vector<Profile> const& b) {
    auto const equal = [](Profile const& one, Profile const& other) {
        return numbers(one.min) == numbers(other.min) && numbers(one.opt) == numbers(other.opt) &&
               numbers(one.max) == numbers(other.max);
    };
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), equal);
}

std::vector<std::array<std::int64_t, 2>> split(std::int64_t total, std::int64_t most) {
    std::int64_t const parts = (total + most - 1) / most;
    std::vector<std::array<std::int64_t, 2>> found;
    for (std::int64_t i = 0; i < parts; ++i) found.push_back({total * i / parts, total * (i + 1) / parts});
    return found;
}

std::optional<Fit> fit(std::vector<Profile> const& profiles, Extent const& wanted) {
    std::optional<Fit> best;
    std::tuple<std::size_t, double> least;
    for (std::size_t i = 0; i < profiles.size(); ++i) {
        auto parts = split(wanted.batch, profiles[i].max.batch);
        if (!holds_parts(profiles[i], wanted, parts)) continue;
        std::tuple const cost{parts.size(), distance(profiles[i].opt, wanted)};
        if (best && !(cost < least)) continue;
        least = cost;
        best = Fit{static_cast<int>(i), std::move(parts)};
    }
    return best;
}

Profile const& nearest(std::vector<Profile> const& profiles, Extent const& wanted) {
    return *std::min_element(profiles.begin(), profiles.end(), [&](Profile const& a, Profile const& b) {
        return distance(clamped(a, wanted), wanted) < distance(clamped(b, wanted), wanted);
    });
}

Profile around(Extent const& wanted) {
    Extent const one{wanted.width, wanted.height, 1};
    return {one, wanted, wanted};
}

}  // namespace fdcn::impl
