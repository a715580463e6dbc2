// One graph in an ONNX Runtime session, run on memory that the sampler has laid out.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "onnxruntime/api.h"
#include "sampler/network.h"

namespace fdcn::impl {

// Bytes that a run takes besides its inputs and outputs: for each element of a latent, and for each pair of them.
struct Activations {
    double element = 0.0, pair = 0.0;

    double bytes(Shape const& latent) const;  // [rows, C, h, w]
};

class OnnxGraph : public LoadedGraph {
public:
    // `factor` is how many times as long as the latent's the sides of a decoder's pictures are. Throws Error where ONNX
    // Runtime refuses the file.
    OnnxGraph(std::string name, std::string const& path, Ort::Env const& environment,
              Ort::SessionOptions const& options, std::int64_t factor, Activations activations = {});

    std::vector<std::string> const& inputs() const override { return inputs_; }
    std::vector<std::string> const& outputs() const override { return outputs_; }
    Shape shape(std::string const& tensor) const override { return tensors_.at(tensor).shape; }
    std::unique_ptr<Context> context() override;

private:
    friend class OnnxContext;

    struct Tensor {
        ONNXTensorElementDataType type;
        Shape shape;  // dynamic axes are -1
    };

    void add(std::string const& tensor, Ort::TypeInfo const& type);

    std::string const name_;
    std::int64_t const factor_;
    Activations const activations_;
    Ort::Session session_{nullptr};
    std::vector<std::string> inputs_, outputs_;
    std::map<std::string, Tensor> tensors_;
};

}  // namespace fdcn::impl
