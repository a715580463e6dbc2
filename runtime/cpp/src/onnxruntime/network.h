// A bundle's graphs in ONNX Runtime, on the host as a device.
#pragma once

#include <map>
#include <memory>
#include <mutex>

#include "bundle/bundle.h"
#include "onnxruntime/graph.h"
#include "sampler/network.h"

namespace fdcn::impl {

class OnnxNetwork : public Network {
public:
    explicit OnnxNetwork(std::shared_ptr<Bundle const> bundle);

    std::string const& name() const override { return name_; }
    Manifest const& manifest() const override { return bundle_->manifest(); }
    std::vector<StepGroup> const& step_groups() const override;
    std::shared_ptr<Device> const& device() override { return device_; }
    bool has(std::string const& graph) const override { return graphs_->count(graph) > 0; }
    // Its session is opened when it is first asked for.
    LoadedGraph& graph(std::string const& name) override;

    // Any size fits, in one part.
    std::optional<Fit> fit(std::string const& graph, std::int64_t rows,
                           std::array<std::int64_t, 2> const& latent) override;
    Error outside(std::string const& graph, std::int64_t rows, std::array<std::int64_t, 2> const& latent) override;
    // As many as fill an evaluation, as far as memory goes.
    std::int64_t together(Batch const& batch) override;
    Conditioning conditioning() override;
    std::size_t budget() override;

private:
    Ort::SessionOptions session_options() const;

    std::shared_ptr<Bundle const> const bundle_;
    Ort::Env const environment_;
    std::shared_ptr<Device> const device_;
    Engine const* engine_;  // whose graphs are run; null for the portable ones
    std::map<std::string, Graph> const* graphs_;
    std::string name_;
    std::mutex opening_;
    std::map<std::string, std::unique_ptr<OnnxGraph>> opened_;
};

}  // namespace fdcn::impl
