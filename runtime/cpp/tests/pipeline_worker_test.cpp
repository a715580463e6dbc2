// The thread behind submit(), with jobs whose run the test holds in its hands.
#include "pipeline/worker.h"

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>

#include "pipeline/future.h"
#include "pipeline_jobs.h"

namespace fdcn::impl {
namespace {

constexpr std::chrono::seconds kSoon(20);

class Semaphore {
public:
    void release(int count = 1) {
        std::lock_guard const lock(changing_);
        count_ += count;
        changed_.notify_all();
    }
    bool acquire() {
        std::unique_lock lock(changing_);
        if (!changed_.wait_for(lock, kSoon, [&] { return count_ > 0; })) return false;
        --count_;
        return true;
    }

private:
    std::mutex changing_;
    std::condition_variable changed_;
    int count_ = 0;
};

// The batches of a worker, by the names in them; each begins, then waits until it is let go.
struct Runs {
    Runs() : worker([](Job const&) { return 3; }, [this](auto const& jobs) { return run(jobs); }) {}
    ~Runs() {
        go.release(100);
        worker.close(Error("over"));
        worker.join();
    }

    std::vector<Outcome> run(std::vector<Job const*> const& jobs) {
        std::vector<Outcome> outcomes;
        std::string names;
        for (Job const* one : jobs) names += one->names.front() + " ";
        batches.push_back(names);
        begun.release();
        EXPECT_TRUE(go.acquire());
        for (Job const* one : jobs) {
            if (one->names.front() == "all fail") throw std::runtime_error("all");
            if (one->names.front() == "fails")
                outcomes.emplace_back(std::make_exception_ptr(std::runtime_error("one")));
            else
                outcomes.emplace_back(pictures(*one));
        }
        return outcomes;
    }

    Future begin(Job first) {
        Future const future = worker.submit(std::move(first));
        EXPECT_TRUE(begun.acquire());
        return future;
    }

    std::vector<std::string> batches;
    Semaphore begun, go;
    Worker worker;
};

std::string got(Future const& future) {
    if (!future.wait_for(kSoon)) return "stuck";
    try {
        return future.get().names().front();
    } catch (std::runtime_error const& error) {
        return std::string("! ") + error.what();
    }
}

TEST(Worker, WhatWaitsIsRunTogether) {
    Runs runs;
    Future const first = runs.begin(job("a"));
    std::vector<Future> others;
    Job alone = job("e");
    alone.batch.preview_every = 1;
    for (Job& one : std::vector<Job>{job("b"), job("c", {9, 9}), job("d"), alone})
        others.push_back(runs.worker.submit(std::move(one)));
    runs.go.release(9);
    EXPECT_EQ(got(first), "a");
    EXPECT_EQ(got(others[0]), "b");
    EXPECT_EQ(got(others[1]), "c");
    EXPECT_EQ(got(others[2]), "d");
    EXPECT_EQ(got(others[3]), "e");
    EXPECT_EQ(runs.batches, (std::vector<std::string>{"a ", "b d ", "c ", "e "}));
}

TEST(Worker, FailuresGoToThoseTheyConcern) {
    Runs runs;
    runs.begin(job("a"));
    Future const kept = runs.worker.submit(job("b")), failed = runs.worker.submit(job("fails"));
    Future const mate = runs.worker.submit(job("c", {9, 9})), all = runs.worker.submit(job("all fail", {9, 9}));
    runs.go.release(3);
    EXPECT_EQ(got(kept), "b");
    EXPECT_EQ(got(failed), "! one");
    EXPECT_EQ(got(mate), "! all");
    EXPECT_EQ(got(all), "! all");
    EXPECT_EQ(got(all), "! all");  // as often as it is asked for
}

TEST(Worker, ALimitThatCannotBeToldIsMetAgainInTheRun) {
    Worker worker([](Job const&) -> std::int64_t { throw Error("no memory"); },
                  [](std::vector<Job const*> const& jobs) {
                      EXPECT_EQ(jobs.size(), 1u);
                      return std::vector<Outcome>{pictures(*jobs.front())};
                  });
    std::vector<Future> futures;
    for (int i = 0; i < 5; ++i) futures.push_back(worker.submit(job(std::to_string(i))));
    for (int i = 0; i < 5; ++i) EXPECT_EQ(got(futures[static_cast<std::size_t>(i)]), std::to_string(i));
    worker.close(Error("over"));
}

TEST(Worker, AFutureCanBeCancelledBeforeItStarts) {
    Runs runs;
    Future const running = runs.begin(job("a")), waiting = runs.worker.submit(job("b"));
    Future const other = runs.worker.submit(job("c"));
    EXPECT_FALSE(running.cancel());
    EXPECT_FALSE(waiting.wait_for(std::chrono::milliseconds(0)));
    EXPECT_TRUE(waiting.cancel());
    EXPECT_TRUE(waiting.cancel());
    EXPECT_TRUE(waiting.wait_for(std::chrono::milliseconds(0)));
    EXPECT_THROW(waiting.get(), Cancelled);
    runs.go.release(2);
    EXPECT_EQ(got(other), "c");
    EXPECT_FALSE(other.cancel());
    EXPECT_EQ(runs.batches, (std::vector<std::string>{"a ", "c "}));
}

TEST(Worker, CloseFinishesTheRunningBatchAndRefusesTheRest) {
    Runs runs;
    Future const running = runs.begin(job("a")), waiting = runs.worker.submit(job("b"));
    Future const cancelled = runs.worker.submit(job("c"));
    EXPECT_TRUE(cancelled.cancel());
    runs.worker.close(Error("closed"));
    EXPECT_EQ(got(waiting), "! closed");
    EXPECT_THROW(cancelled.get(), Cancelled);
    EXPECT_THROW(runs.worker.submit(job("d")), Error);
    runs.go.release();
    runs.worker.join();
    EXPECT_EQ(got(running), "a");
    EXPECT_EQ(runs.batches, (std::vector<std::string>{"a "}));
}

TEST(Worker, ItsOwnThreadMayBeTheOneThatEndsIt) {
    // A job's progress holds the worker; the thread lets go of it last.
    struct Owner {
        std::optional<Worker> worker;
        Semaphore* ended;
        ~Owner() {
            worker->close(Error("over"));
            worker.reset();
            ended->release();
        }
    };
    Semaphore ended, go;
    auto owner = std::make_shared<Owner>();
    owner->ended = &ended;
    owner->worker.emplace([](Job const&) { return 3; }, [&](std::vector<Job const*> const& jobs) {
        EXPECT_TRUE(go.acquire());
        return std::vector<Outcome>{pictures(*jobs.front())};
    });
    Job one = job("a");
    one.progress = [owner](std::int64_t, std::int64_t) {};
    Future const future = owner->worker->submit(std::move(one));
    owner.reset();
    go.release();
    EXPECT_EQ(got(future), "a");
    EXPECT_TRUE(ended.acquire());
}

TEST(Worker, AJobThatIsDroppedWhileItIsLookedAtMayHoldTheWorker) {
    Semaphore looked, go;
    Worker worker(
        [&](Job const&) {
            looked.release();
            EXPECT_TRUE(go.acquire());
            return 3;
        },
        [](std::vector<Job const*> const&) -> std::vector<Outcome> { throw Error("run"); });
    Job one = job("a");
    std::shared_ptr<void> closes(nullptr, [&](void*) { worker.close(Error("again")); });
    one.progress = [closes](std::int64_t, std::int64_t) {};
    Future const future = worker.submit(std::move(one));
    closes.reset();
    EXPECT_TRUE(looked.acquire());
    worker.close(Error("closed"));
    go.release();
    worker.join();
    EXPECT_EQ(got(future), "! closed");
}

TEST(Worker, AWaitOfAnyLengthIsPossible) {
    Runs runs;
    Future const future = runs.begin(job("a"));
    EXPECT_FALSE(future.wait_for(std::chrono::milliseconds::min()));
    runs.go.release();
    EXPECT_TRUE(future.wait_for(std::chrono::milliseconds::max()));
}

}  // namespace
}  // namespace fdcn::impl
