#include "onnxruntime/api.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "fdcn/fdcn.hpp"
#include "messages.h"

namespace fdcn::impl {

namespace {

// By OrtErrorCode, as ONNX Runtime spells them in Python.
constexpr std::array<std::string_view, 16> kCodes = {
    "SUCCESS",        "FAIL",         "INVALID_ARGUMENT", "NO_SUCHFILE",     "NO_MODEL",
    "ENGINE_ERROR",   "RUNTIME_EXCEPTION", "INVALID_PROTOBUF", "MODEL_LOADED", "NOT_IMPLEMENTED",
    "INVALID_GRAPH",  "EP_FAIL",      "MODEL_LOAD_CANCELED", "MODEL_REQUIRES_COMPILATION", "NOT_FOUND",
    "DEVICE_LOST"};
constexpr std::size_t kLongest = 200;

}  // namespace

Ort::Env new_environment() {
    OrtApi const* const api = OrtGetApiBase()->GetApi(ORT_API_VERSION);
    if (!api) throw Error(messages::onnxruntime::too_old(onnxruntime_version(), ORT_API_VERSION));
    // Once: another network's thread may be reading what this writes.
    [[maybe_unused]] static bool const callable = (Ort::InitApi(api), true);
    // Of the process, whose other users of ONNX Runtime log by it: the logger is its own, and outlives this library.
    return {ORT_LOGGING_LEVEL_WARNING, "fdcn"};
}

std::string onnxruntime_version() { return OrtGetApiBase()->GetVersionString(); }

std::string reason_of(Ort::Exception const& error) {
    auto const code = static_cast<std::size_t>(error.GetOrtErrorCode());
    std::string text = "[ONNXRuntimeError] : " + std::to_string(code) + " : " +
                       std::string(code < kCodes.size() ? kCodes[code] : "GENERAL ERROR") + " : " + error.what();
    text.resize(std::min({text.size(), text.find('\n'), kLongest}));
    return text;
}

}  // namespace fdcn::impl
