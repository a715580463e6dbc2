// One graph of a TensorRT engine on the device: runtime/backends/trt_graph.py.
#pragma once

#include <NvInferRuntime.h>

#include <memory>
#include <string>
#include <vector>

#include "tensorrt/engine/trt_context.h"
#include "tensorrt/network.h"

namespace fdcn::impl {

// Not for two threads at a time. It ends while its device is current, and after its contexts.
class TrtGraph final : public ProfiledGraph {
public:
    // Load a serialised engine that has been checked. Throws Error where TensorRT refuses it.
    TrtGraph(std::string name, std::string const& file, std::shared_ptr<nvinfer1::IRuntime> runtime);

    std::vector<std::string> const& inputs() const override { return inputs_; }
    std::vector<std::string> const& outputs() const override { return outputs_; }
    Shape shape(std::string const& tensor) const override;
    std::vector<Range> ranges(std::string const& input) const override;
    // Throws Error where there is no room for it. `share` comes first.
    std::unique_ptr<Context> context() override;

    std::string const& name() const { return name_; }
    // Bytes of scratch memory that a context needs in any profile.
    std::size_t scratch_size() const;
    // Where the contexts take their scratch memory from.
    void share(std::shared_ptr<Scratch const> scratch) { scratch_ = std::move(scratch); }

private:
    int profiles() const { return engine_->getNbOptimizationProfiles(); }

    std::string name_, file_;
    std::shared_ptr<nvinfer1::IRuntime> runtime_;
    std::unique_ptr<nvinfer1::ICudaEngine> engine_;
    std::vector<std::string> inputs_, outputs_;
    std::shared_ptr<Scratch const> scratch_;
};

// What loads engines. Throws Error where TensorRT does not start.
std::shared_ptr<nvinfer1::IRuntime> open_runtime();

}  // namespace fdcn::impl
