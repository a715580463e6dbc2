#include "sampler/background.h"

#include <utility>

namespace fdcn::impl {

Background::~Background() {
    {
        std::lock_guard<std::mutex> const lock(changing_);
        ending_ = true;
        waiting_.clear();
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
}

void Background::submit(std::function<void()> work) {
    std::lock_guard<std::mutex> const lock(changing_);
    waiting_.push_back(std::move(work));
    if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
    changed_.notify_all();
}

void Background::run() {
    std::unique_lock<std::mutex> lock(changing_);
    while (true) {
        changed_.wait(lock, [this] { return ending_ || !waiting_.empty(); });
        if (ending_) return;
        std::function<void()> const work = std::move(waiting_.front());
        waiting_.pop_front();
        lock.unlock();
        work();
        lock.lock();
    }
}

}  // namespace fdcn::impl
