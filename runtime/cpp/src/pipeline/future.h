// Pictures that are still being made, from both sides.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>

#include "fdcn/fdcn.hpp"
#include "pipeline/job.h"

namespace fdcn {

// Several threads may use one.
struct Future::State {
public:
    // Whether it is to be made, and cannot be cancelled any more.
    bool begin();
    bool cancelled() const;
    // Once, after begin().
    void end(impl::Outcome outcome);

    bool cancel();
    bool wait_for(std::chrono::milliseconds duration) const;
    Images get() const;

private:
    bool ended() const { return cancelled_ || outcome_; }

    mutable std::mutex changing_;
    mutable std::condition_variable changed_;
    bool begun_ = false, cancelled_ = false;
    std::optional<impl::Outcome> outcome_;
};
}  // namespace fdcn
