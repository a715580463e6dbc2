#include "tensorrt/engine/trt_graph.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <utility>

#include "messages.h"
#include "tensorrt/engine/log.h"

namespace fdcn::impl {
namespace {

namespace say = messages::tensorrt;

std::vector<char> content(std::string const& file) {
    std::ifstream from(file, std::ios::binary | std::ios::ate);
    std::vector<char> bytes(static_cast<std::size_t>(std::max<std::streamoff>(from.tellg(), 0)));
    from.seekg(0);
    from.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    if (!from) throw Error(say::refused(say::cannot_load(file), "it cannot be read"));
    return bytes;
}

}  // namespace

std::shared_ptr<nvinfer1::IRuntime> open_runtime() {
    Log& log = Log::get();
    log.first();
    nvinfer1::IRuntime* const made = nvinfer1::createInferRuntime(log);
    // Where CUDA does not start, TensorRT 10 says so, and returns what is no pointer.
    std::optional<std::string> const error = log.first();
    if (made == nullptr || error) throw Error(say::does_not_start(error.value_or(messages::tensorrt::no_reason())));
    return std::shared_ptr<nvinfer1::IRuntime>(made);
}

TrtGraph::TrtGraph(std::string name, std::string const& file, std::shared_ptr<nvinfer1::IRuntime> runtime)
    : name_(std::move(name)), file_(file), runtime_(std::move(runtime)) {
    std::vector<char> const bytes = content(file);
    engine_.reset(runtime_->deserializeCudaEngine(bytes.data(), bytes.size()));
    if (engine_ == nullptr) throw Error(say::refused(say::cannot_load(file), Log::get().why()));
    for (std::int32_t i = 0; i < engine_->getNbIOTensors(); ++i) {
        char const* const tensor = engine_->getIOTensorName(i);
        bool const input = engine_->getTensorIOMode(tensor) == nvinfer1::TensorIOMode::kINPUT;
        (input ? inputs_ : outputs_).emplace_back(tensor);
    }
}

Shape TrtGraph::shape(std::string const& tensor) const { return to_shape(engine_->getTensorShape(tensor.c_str())); }

std::vector<Range> TrtGraph::ranges(std::string const& input) const {
    using nvinfer1::OptProfileSelector;
    std::vector<Range> found;
    for (int profile = 0; profile < profiles(); ++profile) {
        auto const end = [&](OptProfileSelector which) {
            return to_shape(engine_->getProfileShape(input.c_str(), profile, which));
        };
        found.push_back({end(OptProfileSelector::kMIN), end(OptProfileSelector::kOPT), end(OptProfileSelector::kMAX)});
    }
    return found;
}

std::unique_ptr<Context> TrtGraph::context() {
    using nvinfer1::ExecutionContextAllocationStrategy;
    std::unique_ptr<nvinfer1::IExecutionContext> context(
        engine_->createExecutionContext(ExecutionContextAllocationStrategy::kUSER_MANAGED));
    if (context == nullptr) throw Error(say::refused(say::cannot_make_room(file_), Log::get().why()));
    return std::make_unique<TrtContext>(name_, std::move(context), scratch_);
}

std::size_t TrtGraph::scratch_size() const {
    std::int64_t most = 0;
    for (int profile = 0; profile < profiles(); ++profile)
        most = std::max(most, engine_->getDeviceMemorySizeForProfileV2(profile));
    return static_cast<std::size_t>(most);
}

}  // namespace fdcn::impl
