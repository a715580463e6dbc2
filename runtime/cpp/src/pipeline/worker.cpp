#include "pipeline/worker.h"

#include <utility>

#include "pipeline/queue.h"

namespace fdcn::impl {

Worker::Worker(Together together, Run run)
    : queue_(std::make_shared<Queue>(std::move(together), std::move(run))) {}

Worker::~Worker() {
    join();
    if (thread_.joinable()) thread_.detach();  // this is that thread
}

Future Worker::submit(Job job) {
    auto const future = std::make_shared<Future::State>();
    start();
    queue_->add(std::move(job), future);
    return Future(future);
}

void Worker::close(Error const& error) {
    queue_->close(error);
}

void Worker::join() {
    {
        std::lock_guard const lock(starting_);
        if (id_ == std::thread::id() || id_ == std::this_thread::get_id()) return;
    }
    std::lock_guard const lock(joining_);
    if (thread_.joinable()) thread_.join();
}

void Worker::start() {
    std::lock_guard const lock(starting_);
    if (id_ != std::thread::id()) return;
    thread_ = std::thread([queue = queue_] { queue->work(); });
    id_ = thread_.get_id();
}

}  // namespace fdcn::impl
