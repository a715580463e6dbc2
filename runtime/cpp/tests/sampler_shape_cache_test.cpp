#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

#include "sampler/shape_cache.h"

namespace fdcn::impl {
namespace {

struct Value {
    std::size_t size;
};

class ShapeCacheTest : public testing::Test {
protected:
    ShapeCache<int, Value> cache{10, [](Value const& one) { return one.size; },
                                 [this](std::unique_ptr<Value> one) { closed.push_back(one->size); }};
    std::vector<std::size_t> closed;
    int made = 0;

    auto hold(int key, std::size_t size) {
        return cache.held(key, [&, size] {
            ++made;
            return std::make_unique<Value>(Value{size});
        });
    }
};

TEST_F(ShapeCacheTest, TheLongestUnusedGoesWhereAllOutgrowTheBudget) {
    for (std::size_t const size : {3u, 4u, 2u}) hold(static_cast<int>(size), size);
    hold(3, 0);
    EXPECT_EQ(made, 3);
    hold(6, 6);
    EXPECT_EQ(closed, (std::vector<std::size_t>{4, 2}));
    hold(11, 11);  // beyond the budget by itself: not kept
    EXPECT_EQ(closed, (std::vector<std::size_t>{4, 2, 3, 6, 11}));
}

TEST_F(ShapeCacheTest, WhatIsHeldStays) {
    auto const held = hold(1, 20);
    EXPECT_FALSE(cache.drop_idle());
    EXPECT_TRUE(closed.empty());
    EXPECT_EQ(held->size, 20u);
}

TEST_F(ShapeCacheTest, WhoHoldsAKeyAlreadyGetsAnotherValue) {
    auto const outer = hold(1, 1);
    auto const inner = hold(1, 2);
    EXPECT_NE(&*outer, &*inner);
    EXPECT_EQ(made, 2);
}

TEST_F(ShapeCacheTest, AValueThatCannotBeMadeLeavesNothing) {
    auto const fail = []() -> std::unique_ptr<Value> { throw std::runtime_error("no"); };
    EXPECT_THROW(cache.held(1, fail), std::runtime_error);
    cache.with_if_there(1, [](Value&) { FAIL(); });
    EXPECT_EQ(hold(1, 5)->size, 5u);
}

TEST_F(ShapeCacheTest, LookingIsNoUse) {
    hold(1, 4);
    hold(2, 4);
    int seen = 0;
    cache.with_if_there(1, [&](Value&) { ++seen; });
    hold(3, 4);
    EXPECT_EQ(seen, 1);
    EXPECT_EQ(closed, std::vector<std::size_t>{4});
    cache.with_if_there(1, [](Value&) { FAIL(); });
}

TEST(ShapeCache, NobodyWaitsForWhatIsNotKept) {
    int closed = 0;
    ShapeCache<int, Value> cache{0, [](Value const& one) { return one.size; },
                                 [&](std::unique_ptr<Value>) { ++closed; }};
    auto const make = [] { return std::make_unique<Value>(Value{1}); };
    {
        auto const held = cache.held(1, make);
        std::thread other([&] { EXPECT_NE(&*cache.held(1, make), &*held); });
        other.join();  // while this thread holds its own
        EXPECT_EQ(closed, 1);
    }
    EXPECT_EQ(closed, 2);
}

TEST_F(ShapeCacheTest, OneThreadAtATimeHasAKey) {
    std::atomic<int> inside{0}, most{0};
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 4; ++thread)
        threads.emplace_back([&] {
            for (int run = 0; run < 200; ++run) {
                auto const held = hold(1, 1);
                most = std::max<int>(most, ++inside);
                --inside;
            }
        });
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(most, 1);
    EXPECT_EQ(made, 1);
}

}  // namespace
}  // namespace fdcn::impl
