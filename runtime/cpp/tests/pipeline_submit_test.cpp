// One pipeline, several callers: futures, threads, closing.
#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <thread>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include "pipeline_bundle.h"
#include "refused.h"

namespace fdcn {
namespace {

std::string closed() {
    return "the pipeline was closed; open it again with fdcn.load";
}

std::int64_t any_class(std::mt19937& random) {
    return static_cast<std::int64_t>(random() % 3);
}

// A pipeline with a picture of class 0 that is being sampled; what is submitted now waits.
class Submit : public ::testing::Test {
protected:
    void SetUp() override {
        Request request = request_of({"Disc"});
        request.progress = [this](std::int64_t, std::int64_t) { held_(); };
        running_ = std::make_unique<Future>(pipe_->submit(request));
        held_.wait_until_begun();
    }
    void TearDown() override { held_.let_go(); }

    Held held_;
    std::unique_ptr<Pipeline> pipe_ = std::make_unique<Pipeline>(opened());
    std::unique_ptr<Future> running_;
};

TEST_F(Submit, APictureDoesNotDependOnWhatItWasSampledWith) {
    std::mt19937 random(0);
    std::vector<Request> requests;
    std::vector<Future> futures;
    for (int i = 0; i < 20; ++i) {
        Request request = request_of({any_class(random), any_class(random)}, random());
        request.solver = random() % 2 ? "euler" : "heun-sde";
        if (random() % 2) request.width = 9;
        if (random() % 2) request.guidance = 1;
        requests.push_back(request);
        futures.push_back(pipe_->submit(request));
    }
    held_.let_go();
    for (std::size_t i = 0; i < requests.size(); ++i) expect_close(futures[i].get(), pipe_->run(requests[i]));
}

TEST_F(Submit, ImpossibleRequestsAreRefusedAtOnce) {
    Request large = request_of({"Disc"});
    large.width = large.height = 1'000'000;
    EXPECT_NE(refused([&] { pipe_->submit(large); }).find("of memory"), std::string::npos);
    EXPECT_NE(refused([&] { pipe_->submit(request_of({"Trouser"})); }).find("no class is called"), std::string::npos);
}

TEST_F(Submit, WhatOneProgressThrowsConcernsItsRequestAlone) {
    Request fails = request_of({"Ring"}), told = request_of({"Ring"});
    fails.progress = [](std::int64_t, std::int64_t) { throw 7; };
    std::vector<std::int64_t> steps;
    told.progress = [&](std::int64_t done, std::int64_t total) {
        EXPECT_EQ(total, 3);
        steps.push_back(done);
    };
    Future const failed = pipe_->submit(fails), fine = pipe_->submit(told);
    fails.width = 16;
    Future const alone = pipe_->submit(fails);
    held_.let_go();
    EXPECT_EQ(fine.get().count(), 1);
    EXPECT_EQ(steps, (std::vector<std::int64_t>{1, 2, 3}));
    EXPECT_THROW(failed.get(), int);
    EXPECT_THROW(alone.get(), int);
}

TEST_F(Submit, AnErrorWhileSamplingIsEveryFuturesOfTheBatch) {
    Request wild = request_of({"Ring"});
    wild.guidance = 1e300;
    Future const one = pipe_->submit(wild), two = pipe_->submit(wild), fine = pipe_->submit(request_of({"Ring"}));
    held_.let_go();
    for (Future const& future : {one, two})
        EXPECT_EQ(refused([&] { future.get(); }),
                  "sampling left float32's range; lower the guidance or take more steps");
    EXPECT_EQ(fine.get().count(), 1);
    EXPECT_EQ(running_->get().count(), 1);
}

TEST_F(Submit, AWaitingRequestCanBeCancelled) {
    Future const waiting = pipe_->submit(request_of({"Ring"})), kept = pipe_->submit(request_of({"Ring"}));
    EXPECT_TRUE(waiting.cancel());
    EXPECT_FALSE(running_->cancel());
    held_.let_go();
    EXPECT_EQ(kept.get().count(), 1);
    EXPECT_EQ(refused([&] { waiting.get(); }), "the pictures were cancelled");
    EXPECT_THROW(waiting.get(), Cancelled);
}

TEST_F(Submit, ClosingFinishesWhatRunsAndRefusesWhatWaits) {
    Future const waiting = pipe_->submit(request_of({"Ring"}));
    std::thread closing([&] { pipe_->close(); });
    EXPECT_EQ(refused([&] { waiting.get(); }), closed());
    EXPECT_FALSE(running_->wait_for(std::chrono::milliseconds(0)));
    held_.let_go();
    closing.join();
    EXPECT_TRUE(running_->wait_for(std::chrono::milliseconds(0)));
    EXPECT_EQ(running_->get().count(), 1);
}

TEST_F(Submit, FuturesAndPicturesOutliveThePipeline) {
    Future const waiting = pipe_->submit(request_of({"Ring"}));
    std::thread ending([&] { pipe_.reset(); });
    EXPECT_EQ(refused([&] { waiting.get(); }), closed());
    held_.let_go();
    ending.join();
    EXPECT_EQ(running_->get().names().front(), "Disc");
}

TEST(SubmitEnding, ItsOwnThreadMayCloseOrEndAPipeline) {
    for (bool const end : {false, true}) {
        auto pipe = std::make_shared<Pipeline>(opened());
        auto const state = std::make_shared<std::shared_ptr<Pipeline>>(pipe);
        Request request = request_of({"Disc"});
        request.progress = [state, end](std::int64_t done, std::int64_t) {
            if (done == 1 && end) state->reset();
            if (done == 1 && !end) (*state)->close();
        };
        Future const future = pipe->submit(request);
        pipe.reset();
        EXPECT_EQ(future.get().count(), 1);
    }
}

TEST_F(Submit, AForkLeavesThePipelineToItsParent) {
    for (bool const close : {false, true}) {
        pid_t const child = ::fork();
        if (child == 0) {
            ::alarm(20);  // where it waits for a thread that it does not have
            if (close) pipe_->close();
            pipe_.reset();
            ::_exit(0);
        }
        int status = -1;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        EXPECT_EQ(status, 0);
    }
    held_.let_go();
    EXPECT_EQ(running_->get().count(), 1);
    EXPECT_EQ(pipe_->submit(request_of({"Ring"})).get().count(), 1);
}

TEST(SubmitEnding, FuturesThatNobodyKeepsAreMade) {
    Pipeline const pipe = opened();
    std::atomic<int> done{0};
    Request request = request_of({"Disc"});
    request.progress = [&](std::int64_t at, std::int64_t total) { done += at == total; };
    for (int i = 0; i < 5; ++i) pipe.submit(request);
    pipe.submit(request).get();
    EXPECT_EQ(done, 6);
}

}  // namespace
}  // namespace fdcn
