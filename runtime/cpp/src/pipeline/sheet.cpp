#include "pipeline/sheet.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace fdcn::impl {
namespace {

constexpr double kWidthAtLeast = 112;  // about: they are enlarged pixel by pixel
constexpr std::int64_t kGap = 8;
constexpr double kEmptyCounts = 5;
constexpr double kAspect = 1.6;  // width over height that a sheet comes close to
constexpr std::uint8_t kPaper = 255;

std::int64_t rows_of(std::int64_t count, std::int64_t columns) {
    return (count + columns - 1) / columns;
}

// How far a sheet is from the aspect that it should have, and how much of it stays empty.
double ugliness(std::int64_t count, std::int64_t columns, double cell_aspect) {
    auto const rows = rows_of(count, columns);
    auto const cells = static_cast<double>(rows * columns);
    double const aspect = cell_aspect * static_cast<double>(columns) / static_cast<double>(rows);
    return std::abs(std::log(aspect / kAspect)) + kEmptyCounts * (cells / static_cast<double>(count) - 1);
}

std::int64_t columns_for(std::int64_t count, double cell_aspect) {
    std::int64_t best = 1;
    double least = std::numeric_limits<double>::infinity();
    for (std::int64_t columns = 1; columns <= count; ++columns)
        if (double const found = ugliness(count, columns, cell_aspect); found < least) {
            least = found;
            best = columns;
        }
    return best;
}

}  // namespace

Sheet sheet(std::uint8_t const* pixels, std::int64_t count, std::int64_t width, std::int64_t height,
            std::int64_t channels) {
    auto const scale =
        std::max<std::int64_t>(1, std::llrint(kWidthAtLeast / static_cast<double>(width)));  // half to even
    std::int64_t const across = width * scale + kGap, down = height * scale + kGap;
    auto const columns = columns_for(count, static_cast<double>(across) / static_cast<double>(down));
    Sheet sheet{{}, columns * across + kGap, rows_of(count, columns) * down + kGap};
    sheet.pixels.assign(static_cast<std::size_t>(sheet.width * sheet.height * channels), kPaper);
    for (std::int64_t i = 0; i < count; ++i) {
        std::int64_t const left = kGap + i % columns * across, top = kGap + i / columns * down;
        for (std::int64_t y = 0; y < height * scale; ++y) {
            auto const* from = pixels + (i * height + y / scale) * width * channels;
            auto* to = sheet.pixels.data() + ((top + y) * sheet.width + left) * channels;
            for (std::int64_t x = 0; x < width; ++x, from += channels)
                for (std::int64_t copy = 0; copy < scale; ++copy, to += channels) std::copy_n(from, channels, to);
        }
    }
    return sheet;
}

}  // namespace fdcn::impl
