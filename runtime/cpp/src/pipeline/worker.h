// A thread that samples what is waiting, in batches, and hands the results to futures: runtime/worker.py.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "fdcn/fdcn.hpp"
#include "pipeline/job.h"

namespace fdcn::impl {

// Batches of jobs, formed from whatever is waiting whenever the thread is free; it starts with the first job.
class Worker {
public:
    // How many images a batch with such a job may have.
    using Together = std::function<std::int64_t(Job const&)>;
    // An outcome for each job of a batch. What it throws goes to all their futures.
    using Run = std::function<std::vector<Outcome>(std::vector<Job const*> const&)>;

    Worker(Together together, Run run);
    // Only after `close`.
    ~Worker();
    Worker(Worker const&) = delete;
    Worker& operator=(Worker const&) = delete;

    // Queue a job. Throws what `close` was given, once it is closed.
    Future submit(Job job);
    // End the thread after the batch that it is at; the futures that wait, and later jobs, get an error.
    void close(Error const& error);
    // Wait for the thread's end, after `close`; it does not wait for itself.
    void join();

private:
    class Queue;

    void start();

    // The thread holds it too: what a job's progress keeps alive may be the worker, which then ends in its own thread.
    std::shared_ptr<Queue> const queue_;
    std::mutex starting_, joining_;
    std::thread thread_;
    std::thread::id id_;
};

}  // namespace fdcn::impl
