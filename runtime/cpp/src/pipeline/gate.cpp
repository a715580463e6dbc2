#include "pipeline/gate.h"

#include <utility>

#include "messages.h"

namespace fdcn::impl {

Gate::Gate(std::string const& what, std::function<void()> closing)
    : error_(messages::sampling::closed(what)), closing_(std::move(closing)) {}

Gate::Inside::Inside(Gate& gate) : gate_(gate) {
    std::lock_guard const lock(gate_.changing_);
    if (!gate_.open_) throw gate_.error_;
    ++gate_.inside_[std::this_thread::get_id()];
}

Gate::Inside::~Inside() {
    std::lock_guard const lock(gate_.changing_);
    auto const own = gate_.inside_.find(std::this_thread::get_id());
    if (--own->second == 0) gate_.inside_.erase(own);
    gate_.close_if_empty();
    gate_.changed_.notify_all();
}

void Gate::close() {
    std::unique_lock lock(changing_);
    open_ = false;
    if (!inside_.count(std::this_thread::get_id())) changed_.wait(lock, [&] { return inside_.empty(); });
    close_if_empty();
}

void Gate::close_if_empty() {
    if (open_ || done_ || !inside_.empty()) return;
    done_ = true;
    closing_();
}

}  // namespace fdcn::impl
