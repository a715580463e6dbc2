// Closing what threads are using.
#include "pipeline/gate.h"

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <stdexcept>
#include <string>
#include <thread>

namespace fdcn::impl {
namespace {

TEST(Gate, ClosingHappensOnceAndThenNobodyComesIn) {
    int closed = 0;
    Gate gate("the thing", [&] { ++closed; });
    {
        Gate::Inside const once(gate), twice(gate);
    }
    gate.close();
    gate.close();
    EXPECT_EQ(closed, 1);
    try {
        Gate::Inside const inside(gate);
        FAIL() << "inside";
    } catch (Error const& error) {
        EXPECT_STREQ(error.what(), "the thing was closed; open it again with fdcn.load");
    }
}

TEST(Gate, CloseWaitsForThoseInside) {
    std::promise<void> entered, leave;
    int closed = 0;
    Gate gate("the thing", [&] { ++closed; });
    std::thread user([&] {
        Gate::Inside const inside(gate);
        entered.set_value();
        leave.get_future().wait();
        EXPECT_EQ(closed, 0);
    });
    entered.get_future().wait();
    auto closing = std::async(std::launch::async, [&] { gate.close(); });
    EXPECT_EQ(closing.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
    leave.set_value();
    closing.get();
    user.join();
    EXPECT_EQ(closed, 1);
}

TEST(Gate, TheLastOneOutClosesWhereItAskedFromInside) {
    int closed = 0;
    Gate gate("the thing", [&] { ++closed; });
    {
        Gate::Inside const outer(gate);
        {
            Gate::Inside const inner(gate);
            gate.close();
        }
        EXPECT_EQ(closed, 0);
        EXPECT_THROW(Gate::Inside{gate}, Error);
    }
    EXPECT_EQ(closed, 1);
}

TEST(Gate, AnExceptionLeavesAsWell) {
    int closed = 0;
    Gate gate("the thing", [&] { ++closed; });
    auto const fail = [&] {
        Gate::Inside const inside(gate);
        throw std::runtime_error("x");
    };
    EXPECT_THROW(fail(), std::runtime_error);
    gate.close();
    EXPECT_EQ(closed, 1);
}

}  // namespace
}  // namespace fdcn::impl
