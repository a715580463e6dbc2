// The errors that TensorRT told its logger: they say why a call has failed.
#pragma once

#include <NvInferRuntime.h>

#include <mutex>
#include <optional>
#include <string>

namespace fdcn::impl {

// TensorRT keeps the first logger of a process for good, so there is one, which never ends. For any thread.
class Log final : public nvinfer1::ILogger {
public:
    static Log& get();

    void log(Severity severity, nvinfer1::AsciiChar const* text) noexcept override;
    // The first error since this or `why` was last asked, if there was one: what follows it are its consequences.
    std::optional<std::string> first();
    // The same, or that there was none.
    std::string why();

private:
    std::mutex mutex_;
    std::optional<std::string> first_;
};

}  // namespace fdcn::impl
