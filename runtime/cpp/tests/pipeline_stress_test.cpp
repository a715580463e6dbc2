// Eight threads and one pipeline, for ThreadSanitizer to watch.
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "pipeline_bundle.h"
#include "refused.h"

namespace fdcn {
namespace {

constexpr int kThreads = 8, kRequests = 200;

Request request_number(int i) {
    Request request = request_of({std::int64_t{i % 3}}, static_cast<std::uint64_t>(i));
    request.solver = i % 4 ? "euler" : "euler-sde";
    request.steps = 2;
    if (i % 5 == 0) request.width = 10;
    return request;
}

TEST(Stress, EightThreadsSubmitAndSomeOfThemCancelFailAndRun) {
    Pipeline const pipe = opened();
    std::vector<Images> wanted;
    for (int i = 0; i < 60; ++i) wanted.push_back(pipe.run(request_number(i)));
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t)
        threads.emplace_back([&, t] {
            for (int i = 0; i < kRequests; ++i) {
                int const number = (t * 7 + i) % 60;
                Request request = request_number(number);
                if (i % 10 == 3) request.progress = [](std::int64_t, std::int64_t) { throw Error("enough"); };
                if (i % 50 == 7) {
                    expect_close(pipe.run(request_number(number)), wanted[static_cast<std::size_t>(number)]);
                    continue;
                }
                Future const future = pipe.submit(request);
                bool const cancelled = i % 10 == 5 && future.cancel();
                if (cancelled)
                    EXPECT_EQ(refused([&] { future.get(); }), "the pictures were cancelled");
                else if (request.progress)
                    EXPECT_EQ(refused([&] { future.get(); }), "enough");
                else
                    expect_close(future.get(), wanted[static_cast<std::size_t>(number)]);
            }
        });
    for (std::thread& thread : threads) thread.join();
}

TEST(Stress, ThreadsSubmitWhileThePipelineIsClosed) {
    for (int round = 0; round < 5; ++round) {
        Pipeline pipe = opened();
        std::vector<std::thread> threads;
        for (int t = 0; t < kThreads; ++t)
            threads.emplace_back([&, t] {
                for (int i = 0; i < 20; ++i)
                    try {
                        pipe.submit(request_number(t * 20 + i)).get();
                    } catch (Error const& error) {
                        EXPECT_STREQ(error.what(), "the pipeline was closed; open it again with fdcn.load");
                    }
            });
        std::this_thread::sleep_for(std::chrono::milliseconds(2 * round));
        pipe.close();
        for (std::thread& thread : threads) thread.join();
    }
}

}  // namespace
}  // namespace fdcn
