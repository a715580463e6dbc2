// A thread for work that nobody waits for.
#pragma once

#include <condition_variable>
#include <functional>
#include <list>
#include <mutex>
#include <thread>

namespace fdcn::impl {

// Starts with the first work, and ends with what it is at: the rest is dropped. Work throws nothing.
class Background {
public:
    Background() = default;
    Background(Background const&) = delete;
    ~Background();

    void submit(std::function<void()> work);

private:
    void run();

    std::mutex changing_;
    std::condition_variable changed_;
    std::list<std::function<void()>> waiting_;
    bool ending_ = false;
    std::thread thread_;
};

}  // namespace fdcn::impl
