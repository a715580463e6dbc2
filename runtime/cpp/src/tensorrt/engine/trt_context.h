// What one run of a TensorRT graph needs at a time: runtime/backends/trt_graph.py's Context.
#pragma once

#include <NvInferRuntime.h>

#include <memory>
#include <string>

#include "sampler/holding.h"
#include "sampler/network.h"

namespace fdcn::impl {

// Memory that the graphs of an engine share for their activations: one of them runs at a time.
struct Scratch {
    Memory memory;
    std::size_t size;
};

class TrtContext final : public Context {
public:
    // `graph` is its name, for messages.
    TrtContext(std::string graph, std::unique_ptr<nvinfer1::IExecutionContext> context,
               std::shared_ptr<Scratch const> scratch);

    void reshape(int profile, std::map<std::string, Shape> const& shapes, Stream stream) override;
    Shape shape(std::string const& output) override;
    void bind(std::string const& tensor, void* address) override;
    void enqueue(Stream stream) override;

private:
    void accepted(bool accepted, std::string const& what) const;

    std::string graph_;
    std::shared_ptr<Scratch const> scratch_;
    std::unique_ptr<nvinfer1::IExecutionContext> context_;
    int profile_ = 0;
    std::map<std::string, Shape> given_;
};

// A shape between TensorRT's form and this library's.
Shape to_shape(nvinfer1::Dims const& dims);
nvinfer1::Dims to_dims(Shape const& shape);

}  // namespace fdcn::impl
