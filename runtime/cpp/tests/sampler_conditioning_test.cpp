#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "sampler/conditioning.h"

namespace fdcn::impl {
namespace {

TEST(RowKeys, AreThePassesInOrderEachWithEveryImage) {
    PlanRow row{};
    row.t = 0.25f;
    row.passes = {{false, 0, 0}, {true, 0, 0}};
    EXPECT_EQ(row_keys(row, {4, 2}, 9), (std::vector<Key>{{0.25f, 9}, {0.25f, 9}, {0.25f, 4}, {0.25f, 2}}));
}

TEST(Products, HoldEveryKeyOnceAndNothingElse) {
    std::mt19937 random(1);
    for (int round = 0; round < 200; ++round) {
        std::set<Key> wanted;
        for (int i = 0; i < 12; ++i) wanted.insert({static_cast<float>(random() % 3), random() % 4});
        std::vector<Key> keys(wanted.begin(), wanted.end()), found;
        std::shuffle(keys.begin(), keys.end(), random);
        for (Product const& product : products(keys))
            for (float const t : product.times)
                for (std::int64_t const label : product.classes) found.emplace_back(t, label);
        EXPECT_EQ(found.size(), wanted.size());
        EXPECT_EQ(std::set<Key>(found.begin(), found.end()), wanted);
    }
}

TEST(SlotCache, TheLongestUnusedKeyMakesRoom) {
    SlotCache cache(3);
    Key const a{0, 1}, b{0, 2}, c{0, 3}, d{0, 4};
    EXPECT_EQ(cache.reserve({a, b, a}).missing, (std::vector<Key>{a, b}));
    EXPECT_EQ(cache.reserve({c}).missing, std::vector<Key>{c});
    EXPECT_TRUE(cache.reserve({a}).missing.empty());
    auto const reserved = cache.reserve({d, c});
    EXPECT_EQ(reserved.missing, std::vector<Key>{d});  // in b's place
    EXPECT_TRUE(cache.holds({a, c, d}));
    EXPECT_FALSE(cache.holds({b}));
    EXPECT_EQ(reserved.slots, (std::vector<std::int32_t>{cache.slot(d), cache.slot(c)}));
}

TEST(SlotCache, WhatIsForgottenGivesItsSlotBack) {
    SlotCache cache(2);
    Key const a{0, 1}, b{0, 2}, c{0, 3};
    cache.reserve({a, b});
    std::int32_t const slot = cache.slot(b);
    cache.forget({b});
    EXPECT_FALSE(cache.holds({b}));
    cache.reserve({c});
    EXPECT_EQ(cache.slot(c), slot);
    EXPECT_TRUE(cache.holds({a}));
}

TEST(SlotCache, KeysNeverShareASlot) {
    std::mt19937 random(2);
    SlotCache cache(6);
    for (int round = 0; round < 2000; ++round) {
        std::vector<Key> keys(1 + random() % 6);
        for (Key& key : keys) key = {static_cast<float>(random() % 4), random() % 5};
        auto const reserved = cache.reserve(keys);
        for (std::size_t i = 0; i < keys.size(); ++i)
            for (std::size_t j = 0; j < i; ++j) EXPECT_EQ(reserved.slots[i] == reserved.slots[j], keys[i] == keys[j]);
        for (std::int32_t const slot : reserved.slots) EXPECT_TRUE(0 <= slot && slot < 6);
        if (round % 3 == 0) cache.forget(reserved.missing);
    }
}

}  // namespace
}  // namespace fdcn::impl
