// Pictures as PNG files.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace fdcn::impl {

// Levels of one picture, [height, width, channels]; 1 channel is grey, 3 are RGB.
struct Picture {
    std::uint8_t const* pixels;
    std::int64_t width, height, channels;
};

// A PNG file's bytes, with texts (keyword, Latin-1) that viewers show.
std::vector<std::uint8_t> png(Picture const& picture,
                              std::vector<std::pair<std::string, std::string>> const& texts);

}  // namespace fdcn::impl
