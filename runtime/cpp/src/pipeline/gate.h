// Closing something that several threads are using: runtime/gate.py.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "fdcn/fdcn.hpp"

namespace fdcn::impl {

// Lets calls in until it is closed; then `closing` is called, once, when the last of them has left.
class Gate {
public:
    // `what` was closed, in the error. `closing` throws nothing.
    Gate(std::string const& what, std::function<void()> closing);

    // Keeps a gate open as long as it lives. Throws Error where it was closed.
    class Inside {
    public:
        explicit Inside(Gate& gate);
        ~Inside();
        Inside(Inside const&) = delete;
        Inside& operator=(Inside const&) = delete;

    private:
        Gate& gate_;
    };

    // Let nobody in any more, and wait for those inside; a thread that is inside itself does not wait.
    void close();
    // What callers get who come too late.
    Error const& error() const { return error_; }

private:
    void close_if_empty();

    Error const error_;  // made ahead: closing must not need memory
    std::function<void()> const closing_;
    std::mutex changing_;
    std::condition_variable changed_;
    std::map<std::thread::id, int> inside_;  // calls by thread
    bool open_ = true, done_ = false;
};

}  // namespace fdcn::impl
