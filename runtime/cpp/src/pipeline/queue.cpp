#include "pipeline/queue.h"

#include <algorithm>
#include <iterator>
#include <new>
#include <utility>

#include "pipeline/batching.h"

namespace fdcn::impl {

Worker::Queue::Queue(Together together, Run run) : together_(std::move(together)), run_(std::move(run)) {}

void Worker::Queue::add(Job job, std::shared_ptr<Future::State> future) {
    auto waiting = std::make_shared<Waiting>(Waiting{std::move(job), std::move(future)});
    std::lock_guard const lock(changing_);
    if (error_) throw *error_;
    waiting_.push_back(std::move(waiting));
    changed_.notify_all();
}

void Worker::Queue::close(Error const& error) {
    Batch dropped;
    {
        std::lock_guard const lock(changing_);
        if (!error_) error_ = error;
        dropped.swap(waiting_);
        changed_.notify_all();
    }
    for (auto const& one : dropped)
        if (one->future->begin()) one->future->end(std::make_exception_ptr(error));
}

void Worker::Queue::work() noexcept {
    for (;;) {
        try {
            auto const batch = next();
            if (!batch) return;
            if (!batch->empty()) make(*batch);
        } catch (std::bad_alloc const&) {
            // Nothing was taken yet: what waits still waits, for better times.
            std::this_thread::yield();
        }
    }
}

// The jobs to run together, whose futures cannot be cancelled any more; none at the end.
std::optional<Worker::Queue::Batch> Worker::Queue::next() {
    {
        std::unique_lock lock(changing_);
        changed_.wait(lock, [&] { return !waiting_.empty() || error_; });
        if (waiting_.empty()) return std::nullopt;
    }
    Batch batch = chosen();
    auto const cancelled = [](auto const& one) { return !one->future->begin(); };
    batch.erase(std::remove_if(batch.begin(), batch.end(), cancelled), batch.end());
    return batch;
}

// Taken from those that wait; none where they are gone meanwhile.
Worker::Queue::Batch Worker::Queue::chosen() {
    Batch batch, kept, rest;  // what goes with these goes after the lock
    std::shared_ptr<Waiting> oldest;
    std::unique_lock lock(changing_);
    auto const wanted = [](auto const& one) { return !one->future->cancelled(); };
    std::copy_if(waiting_.begin(), waiting_.end(), std::back_inserter(kept), wanted);
    waiting_.swap(kept);
    if (waiting_.empty()) return batch;
    oldest = waiting_.front();
    lock.unlock();  // it may look at the machine
    auto const images = together(oldest->job);
    lock.lock();
    if (waiting_.empty() || waiting_.front() != oldest) return batch;
    std::vector<Job const*> jobs;
    for (auto const& one : waiting_) jobs.push_back(&one->job);
    auto const positions = choose(jobs, images);
    for (std::size_t i = 0; i < waiting_.size(); ++i) {
        bool const taken = std::binary_search(positions.begin(), positions.end(), i);
        (taken ? batch : rest).push_back(waiting_[i]);
    }
    waiting_.swap(rest);
    return batch;
}

std::int64_t Worker::Queue::together(Job const& job) const noexcept {
    try {
        return together_(job);
    } catch (...) {
        return 0;  // it runs alone, and meets the same there
    }
}

void Worker::Queue::make(Batch const& batch) const noexcept {
    try {
        std::vector<Job const*> jobs;
        for (auto const& one : batch) jobs.push_back(&one->job);
        auto outcomes = run_(jobs);
        for (std::size_t i = 0; i < batch.size(); ++i) batch[i]->future->end(std::move(outcomes[i]));
    } catch (...) {
        auto const error = std::current_exception();
        for (auto const& one : batch) one->future->end(error);
    }
}

}  // namespace fdcn::impl
