// What waits for a worker, and the batches that it makes of that.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "pipeline/future.h"
#include "pipeline/worker.h"

namespace fdcn::impl {

class Worker::Queue {
public:
    Queue(Together together, Run run);

    // Throws what `close` was given, once it is closed.
    void add(Job job, std::shared_ptr<Future::State> future);
    void close(Error const& error);
    // Makes batches until it is closed.
    void work() noexcept;

private:
    struct Waiting {
        Job job;
        std::shared_ptr<Future::State> future;
    };
    // A job is let go of without the lock: its progress is its caller's, and may hold what locks this.
    using Batch = std::vector<std::shared_ptr<Waiting>>;

    std::optional<Batch> next();
    Batch chosen();
    std::int64_t together(Job const& job) const noexcept;
    void make(Batch const& batch) const noexcept;

    Together const together_;
    Run const run_;
    std::mutex changing_;
    std::condition_variable changed_;
    Batch waiting_;  // the oldest first
    std::optional<Error> error_;
};

}  // namespace fdcn::impl
