#include "pipeline/future.h"

#include <algorithm>
#include <utility>

#include "messages.h"

namespace fdcn {
namespace {

// A clock cannot count every wait that a caller can ask for.
constexpr std::chrono::milliseconds kLongest = std::chrono::hours(24 * 365);

}  // namespace

Cancelled::Cancelled() : Error(impl::messages::pipeline::cancelled()) {}

Cancelled::~Cancelled() = default;

bool Future::State::begin() {
    std::lock_guard const lock(changing_);
    begun_ = !cancelled_;
    return begun_;
}

bool Future::State::cancelled() const {
    std::lock_guard const lock(changing_);
    return cancelled_;
}

void Future::State::end(impl::Outcome outcome) {
    std::lock_guard const lock(changing_);
    outcome_ = std::move(outcome);
    changed_.notify_all();
}

bool Future::State::cancel() {
    std::lock_guard const lock(changing_);
    cancelled_ = !begun_;
    changed_.notify_all();
    return cancelled_;
}

bool Future::State::wait_for(std::chrono::milliseconds duration) const {
    std::unique_lock lock(changing_);
    auto const wait = std::clamp(duration, std::chrono::milliseconds(0), kLongest);
    return changed_.wait_for(lock, wait, [&] { return ended(); });
}

Images Future::State::get() const {
    std::unique_lock lock(changing_);
    changed_.wait(lock, [&] { return ended(); });
    if (cancelled_) throw Cancelled();
    if (auto const* error = std::get_if<std::exception_ptr>(&*outcome_)) std::rethrow_exception(*error);
    return std::get<Images>(*outcome_);
}

Future::Future(std::shared_ptr<State> state) : state_(std::move(state)) {}

Images Future::get() const {
    return state_->get();
}

bool Future::wait_for(std::chrono::milliseconds duration) const {
    return state_->wait_for(duration);
}

bool Future::cancel() const {
    return state_->cancel();
}

}  // namespace fdcn
