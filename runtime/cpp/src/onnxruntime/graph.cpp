#include "onnxruntime/graph.h"

#include <utility>

#include "messages.h"
#include "tables.h"
#include "text/python_text.h"

namespace fdcn::impl {

namespace {

std::size_t bytes_of(ONNXTensorElementDataType type, Shape const& shape) {
    std::size_t size = type == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64 ? sizeof(std::int64_t) : sizeof(float);
    for (std::int64_t const side : shape) size *= static_cast<std::size_t>(side);
    return size;
}

}  // namespace

double Activations::bytes(Shape const& latent) const {
    double const side = static_cast<double>(latent.at(2)) * static_cast<double>(latent.at(3));
    return static_cast<double>(latent.at(0)) * side * (element + side * pair);
}

class OnnxContext : public Context {
public:
    explicit OnnxContext(OnnxGraph& graph) : graph_(graph), binding_(graph.session_) {}

    void reshape(int, std::map<std::string, Shape> const& shapes, Stream) override {
        shapes_ = shapes;
        bound_ = false;
    }

    // Every graph's first axis is its rows, and pictures follow the latent's sides.
    Shape shape(std::string const& output) override {
        Shape shape = graph_.shape(output);
        auto const latent = shapes_.find("latent");
        if (latent == shapes_.end()) {
            shape.at(0) = shapes_.at("t").at(0) * shapes_.at("label").at(0);
            return shape;
        }
        shape.at(0) = latent->second.at(0);
        for (std::size_t axis = 2; axis < shape.size(); ++axis) shape[axis] = latent->second.at(axis) * graph_.factor_;
        return shape;
    }

    void bind(std::string const& tensor, void* address) override {
        addresses_[tensor] = address;
        bound_ = false;
    }

    void enqueue(Stream) override { run(Ort::RunOptions()); }

    // A session keeps what a run took for the next one, and of a large one that would be missed elsewhere.
    void enqueue_last(Stream) override {
        auto const latent = shapes_.find("latent");
        bool const large = latent != shapes_.end() &&
                           graph_.activations_.bytes(latent->second) >= static_cast<double>(tables::kLargeRunBytes);
        Ort::RunOptions options;
        if (large) options.AddConfigEntry("memory.enable_memory_arena_shrinkage", "cpu:0");
        run(options);
    }

private:
    void run(Ort::RunOptions const& options) {
        try {
            if (!bound_) bind_all();
            graph_.session_.Run(options, binding_);
        } catch (Ort::Exception const& error) {
            std::vector<std::string> given;
            for (std::string const& name : graph_.inputs()) given.push_back(name + " " + list(shapes_.at(name)));
            throw Error(messages::onnxruntime::failed(graph_.name_, joined(given, ", "), reason_of(error)));
        }
    }

    void bind_all() {
        for (std::string const& name : graph_.inputs()) binding_.BindInput(name.c_str(), value(name, shapes_.at(name)));
        for (std::string const& name : graph_.outputs()) binding_.BindOutput(name.c_str(), value(name, shape(name)));
        bound_ = true;
    }

    Ort::Value value(std::string const& tensor, Shape const& shape) const {
        auto const type = graph_.tensors_.at(tensor).type;
        auto const memory = Ort::MemoryInfo::CreateCpu(OrtDeviceAllocator, OrtMemTypeDefault);
        return Ort::Value::CreateTensor(memory, addresses_.at(tensor), bytes_of(type, shape), shape.data(),
                                        shape.size(), type);
    }

    OnnxGraph& graph_;
    Ort::IoBinding binding_;
    std::map<std::string, Shape> shapes_;
    std::map<std::string, void*> addresses_;
    bool bound_ = false;
};

OnnxGraph::OnnxGraph(std::string name, std::string const& path, Ort::Env const& environment,
                     Ort::SessionOptions const& options, std::int64_t factor, Activations activations)
    : name_(std::move(name)), factor_(factor), activations_(activations) {
    try {
        session_ = Ort::Session(environment, path.c_str(), options);
        Ort::AllocatorWithDefaultOptions allocator;
        for (std::size_t i = 0; i < session_.GetInputCount(); ++i) {
            inputs_.emplace_back(session_.GetInputNameAllocated(i, allocator).get());
            add(inputs_.back(), session_.GetInputTypeInfo(i));
        }
        for (std::size_t i = 0; i < session_.GetOutputCount(); ++i) {
            outputs_.emplace_back(session_.GetOutputNameAllocated(i, allocator).get());
            add(outputs_.back(), session_.GetOutputTypeInfo(i));
        }
    } catch (Ort::Exception const& error) {
        throw Error(messages::onnxruntime::unloadable(onnxruntime_version(), path, reason_of(error)));
    }
}

void OnnxGraph::add(std::string const& tensor, Ort::TypeInfo const& type) {
    auto const info = type.GetTensorTypeAndShapeInfo();
    tensors_[tensor] = {info.GetElementType(), info.GetShape()};
}

std::unique_ptr<Context> OnnxGraph::context() { return std::make_unique<OnnxContext>(*this); }

}  // namespace fdcn::impl
