#include "tensorrt/engine/trt_context.h"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <utility>

#include "messages.h"
#include "tensorrt/engine/log.h"
#include "text/python_text.h"

namespace fdcn::impl {
namespace {

cudaStream_t cuda(Stream stream) { return static_cast<cudaStream_t>(stream); }

}  // namespace

Shape to_shape(nvinfer1::Dims const& dims) { return Shape(dims.d, dims.d + std::max(dims.nbDims, 0)); }

nvinfer1::Dims to_dims(Shape const& shape) {
    nvinfer1::Dims dims{};
    dims.nbDims = static_cast<std::int32_t>(shape.size());
    std::copy(shape.begin(), shape.end(), dims.d);
    return dims;
}

TrtContext::TrtContext(std::string graph, std::unique_ptr<nvinfer1::IExecutionContext> context,
                       std::shared_ptr<Scratch const> scratch)
    : graph_(std::move(graph)), scratch_(std::move(scratch)), context_(std::move(context)) {
    context_->setDeviceMemoryV2(scratch_->memory.get(), static_cast<std::int64_t>(scratch_->size));
}

void TrtContext::reshape(int profile, std::map<std::string, Shape> const& shapes, Stream stream) {
    if (profile != profile_) {
        accepted(context_->setOptimizationProfileAsync(profile, cuda(stream)), "profile " + std::to_string(profile));
        profile_ = profile;
    }
    given_ = shapes;
    for (auto const& [name, shape] : shapes)
        accepted(context_->setInputShape(name.c_str(), to_dims(shape)), "input " + name + " " + list(shape));
}

Shape TrtContext::shape(std::string const& output) {
    nvinfer1::Dims const dims = context_->getTensorShape(output.c_str());
    Shape shape = to_shape(dims);
    bool const known = dims.nbDims >= 0 && std::all_of(shape.begin(), shape.end(), [](auto side) { return side >= 0; });
    accepted(known, "output " + output + " " + list(shape));
    return shape;
}

void TrtContext::bind(std::string const& tensor, void* address) {
    accepted(context_->setTensorAddress(tensor.c_str(), address), "the address of " + tensor);
}

void TrtContext::enqueue(Stream stream) {
    if (context_->enqueueV3(cuda(stream))) return;
    std::vector<std::string> words;
    for (auto const& [name, shape] : given_) words.push_back(name + " " + list(shape));
    accepted(false, joined(words, ", "));
}

void TrtContext::accepted(bool accepted, std::string const& what) const {
    if (!accepted) throw Error(messages::tensorrt::failed(graph_, what, Log::get().why()));
}

}  // namespace fdcn::impl
