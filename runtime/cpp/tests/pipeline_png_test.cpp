// Pictures as PNG files, read by libpng's own simple interface.
#include "pipeline/png.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include <png.h>

#include "pipeline/sheet.h"

namespace fdcn::impl {
namespace {

std::vector<std::uint8_t> noise(std::int64_t count) {
    std::mt19937 random(0);
    std::vector<std::uint8_t> bytes(static_cast<std::size_t>(count));
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
    return bytes;
}

std::vector<std::uint8_t> decoded(std::vector<std::uint8_t> const& file, Picture const& wanted) {
    png_image image{};
    image.version = PNG_IMAGE_VERSION;
    EXPECT_TRUE(png_image_begin_read_from_memory(&image, file.data(), file.size())) << image.message;
    EXPECT_EQ(image.width, wanted.width);
    EXPECT_EQ(image.height, wanted.height);
    EXPECT_EQ(image.format, wanted.channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB);
    std::vector<std::uint8_t> pixels(PNG_IMAGE_SIZE(image));
    EXPECT_TRUE(png_image_finish_read(&image, nullptr, pixels.data(), 0, nullptr)) << image.message;
    return pixels;
}

TEST(Png, HoldsThePixelsAndTheTexts) {
    for (std::int64_t const channels : {1, 3})
        for (auto const& [width, height] : {std::pair(7, 5), std::pair(1, 1), std::pair(300, 2)}) {
            auto const pixels = noise(width * height * channels);
            Picture const picture{pixels.data(), width, height, channels};
            auto const file = png(picture, {{"Software", "fdcn 1"}, {"fdcn", "{\"labels\": []}"}});
            EXPECT_EQ(decoded(file, picture), pixels);
            std::string const bytes(file.begin(), file.end());
            EXPECT_NE(bytes.find(std::string("tEXtSoftware\0fdcn 1", 19)), std::string::npos);
            EXPECT_NE(bytes.find(std::string("tEXtfdcn\0{\"labels\": []}", 23)), std::string::npos);
        }
}

TEST(Png, APictureWiderThanLibpngAllowsByDefaultIsWritten) {
    auto const pixels = noise(1'000'001);
    Picture const picture{pixels.data(), 1'000'001, 1, 1};
    EXPECT_GT(png(picture, {}).size(), pixels.size());
}

TEST(Png, WhatLibpngRefusesIsAnException) {
    EXPECT_THROW(png({nullptr, 0, 0, 1}, {}), std::runtime_error);
}

TEST(Sheet, LaysPicturesOutInOrderOnWhite) {
    constexpr std::int64_t kCount = 5, kWidth = 50, kHeight = 30, kChannels = 3, kScale = 2, kGap = 8;
    auto const pixels = noise(kCount * kWidth * kHeight * kChannels);
    Sheet const made = sheet(pixels.data(), kCount, kWidth, kHeight, kChannels);
    ASSERT_EQ(made.width % (kWidth * kScale + kGap), kGap);
    ASSERT_EQ(made.height % (kHeight * kScale + kGap), kGap);
    std::int64_t const columns = made.width / (kWidth * kScale + kGap), rows = made.height / (kHeight * kScale + kGap);
    EXPECT_GE(rows * columns, kCount);
    EXPECT_LT((rows - 1) * columns, kCount);
    for (std::int64_t y = 0; y < made.height; ++y)
        for (std::int64_t x = 0; x < made.width; ++x) {
            std::int64_t const column = x / (kWidth * kScale + kGap), row = y / (kHeight * kScale + kGap);
            std::int64_t const left = x % (kWidth * kScale + kGap) - kGap, top = y % (kHeight * kScale + kGap) - kGap;
            std::int64_t const i = row * columns + column;
            bool const paper = left < 0 || top < 0 || i >= kCount || column >= columns;
            for (std::int64_t c = 0; c < kChannels; ++c) {
                std::int64_t const from = ((i * kHeight + top / kScale) * kWidth + left / kScale) * kChannels + c;
                int const want = paper ? 255 : pixels[static_cast<std::size_t>(from)];
                ASSERT_EQ(made.pixels[static_cast<std::size_t>((y * made.width + x) * kChannels + c)], want);
            }
        }
}

}  // namespace
}  // namespace fdcn::impl
