// Which profile a run takes, and in what parts; the rest is compared with Python in tests/runtime/cpp.
#include "tensorrt/profiles.h"

#include <gtest/gtest.h>


namespace fdcn::impl {
namespace {

using Parts = std::vector<std::array<std::int64_t, 2>>;

Profile profile(Extent min, Extent opt, Extent max) { return {min, opt, max}; }

Profile const small = profile({8, 8, 1}, {28, 28, 2}, {84, 84, 2});
Profile const large = profile({8, 8, 1}, {80, 80, 2}, {84, 84, 2});
Profile const many = profile({8, 8, 1}, {28, 28, 16}, {84, 84, 16});

TEST(Profiles, PartsAreInOrderFewAndEven) {
    EXPECT_EQ(split(7, 3), (Parts{{0, 2}, {2, 4}, {4, 7}}));
    EXPECT_EQ(split(3, 3), (Parts{{0, 3}}));
    EXPECT_TRUE(split(0, 3).empty());
}

TEST(Profiles, OfThoseThatHoldASizeTheOneTunedForTheNearestIsTaken) {
    std::vector<Profile> const all{small, large, many};
    EXPECT_EQ(fit(all, {28, 28, 2})->profile, 0);
    EXPECT_EQ(fit(all, {84, 70, 2})->profile, 1);
    EXPECT_EQ(fit(all, {28, 28, 12})->profile, 2);
    EXPECT_EQ(fit(all, {28, 28, 20})->parts, (Parts{{0, 10}, {10, 20}}));
    EXPECT_FALSE(fit(all, {86, 28, 2}));
}

TEST(Profiles, ABatchWhosePartsWouldBeTooSmallFitsNowhere) {
    std::vector<Profile> const full{profile({8, 8, 8}, {8, 8, 8}, {8, 8, 8})};
    EXPECT_EQ(fit(full, {8, 8, 16})->parts.size(), 2u);
    EXPECT_FALSE(fit(full, {8, 8, 9}));
}

TEST(Profiles, TheProfileThatIsProposedTakesTheRun) {
    Extent const wanted{600, 60, 5};
    EXPECT_EQ(text(around(wanted)), "600x60x1:600x60x5:600x60x5");
    EXPECT_EQ(text(nearest({small, profile({100, 100, 1}, {128, 128, 2}, {256, 256, 2})}, wanted)),
              "100x100x1:128x128x2:256x256x2");
    EXPECT_TRUE(fit({around(wanted)}, wanted));
}

}  // namespace
}  // namespace fdcn::impl
