#include "tensorrt/engine/log.h"

#include <exception>
#include <sstream>
#include <utility>

#include "messages.h"

namespace fdcn::impl {
namespace {

// TensorRT's longest say what a developer of TensorRT wants to know.
constexpr std::size_t kShown = 300;

// In one line.
std::string words(char const* text) {
    std::istringstream from(text);
    std::string whole;
    for (std::string word; from >> word; whole += word)
        if (!whole.empty()) whole += ' ';
    return whole.substr(0, kShown);
}

}  // namespace

Log& Log::get() {
    static Log* const log = new Log();
    return *log;
}

void Log::log(Severity severity, nvinfer1::AsciiChar const* text) noexcept {
    if (severity > Severity::kERROR || text == nullptr) return;
    try {
        std::lock_guard<std::mutex> const lock(mutex_);
        if (!first_) first_ = words(text);
    } catch (std::exception const&) {  // no memory for a message: the call's failure must do
    }
}

std::optional<std::string> Log::first() {
    std::lock_guard<std::mutex> const lock(mutex_);
    return std::exchange(first_, std::nullopt);
}

std::string Log::why() { return first().value_or(messages::tensorrt::no_reason()); }

}  // namespace fdcn::impl
