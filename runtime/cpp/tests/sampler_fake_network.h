// A network that is a formula, on whatever device.
#pragma once

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "sampler/network.h"
#include "sampler_fake_gpu.h"

namespace fdcn::impl {

// velocity = latent·(1 - s_max[0]/10) + modulation + final, both of them one number a row: t + label/8 and label/16.
inline float modulation_of(float t, std::int64_t label) { return t + static_cast<float>(label) / 8.0f; }
inline float final_of(std::int64_t label) { return static_cast<float>(label) / 16.0f; }
inline float velocity_of(float latent, float s_max, float modulation, float final) {
    return latent * (1.0f - s_max / 10.0f) + modulation + final;
}

class FakeNetwork;

class FakeGraph : public LoadedGraph {
public:
    FakeGraph(FakeNetwork& network, std::string name) : network_(network), name_(std::move(name)) {
        bool const conditioner = name_ == "conditioner";
        inputs_ = conditioner ? std::vector<std::string>{"t", "label"}
                              : std::vector<std::string>{"latent", "modulation", "final", "s_max"};
        outputs_ = conditioner ? std::vector<std::string>{"modulation", "final"} : std::vector<std::string>{"velocity"};
    }
    std::vector<std::string> const& inputs() const override { return inputs_; }
    std::vector<std::string> const& outputs() const override { return outputs_; }
    Shape shape(std::string const& tensor) const override {
        return tensor == "modulation" ? Shape{-1, 1, 6, 2} : tensor == "final" ? Shape{-1, 2, 1} : Shape{-1};
    }
    std::unique_ptr<Context> context() override;

private:
    FakeNetwork& network_;
    std::string const name_;
    std::vector<std::string> inputs_, outputs_;
};

// A model of one block and two latent channels, without a decoder. `second` evaluates with the opposite sign.
class FakeNetwork : public Network {
public:
    template <class D>
    explicit FakeNetwork(std::shared_ptr<D> device) : device_(std::move(device)) {
        manifest_.model.blocks = 1;
        manifest_.model.channels = 2;
        manifest_.pixel_factor = 1;
    }

    Conditioning limits{64, 8, 8, 16};
    std::size_t kept_bytes = std::size_t{1} << 20;
    std::int64_t most_rows = 64;
    std::atomic<int> runs{0}, conditioned{0};

    std::string const& name() const override { return name_; }
    Manifest const& manifest() const override { return manifest_; }
    std::vector<StepGroup> const& step_groups() const override { return groups_; }
    std::shared_ptr<Device> const& device() override { return device_; }
    bool has(std::string const& graph) const override { return graph != "decoder"; }
    LoadedGraph& graph(std::string const& name) override {
        auto& graph = graphs_[name];
        if (!graph) graph = std::make_unique<FakeGraph>(*this, name);
        return *graph;
    }
    std::optional<Fit> fit(std::string const&, std::int64_t rows, std::array<std::int64_t, 2> const&) override {
        if (rows > most_rows) return std::nullopt;
        return Fit{0, {{0, rows}}};
    }
    Error outside(std::string const& graph, std::int64_t rows, std::array<std::int64_t, 2> const&) override {
        return Error(graph + " takes no " + std::to_string(rows) + " rows");
    }
    std::int64_t together(Batch const&) override { return 8; }
    Conditioning conditioning() override { return limits; }
    std::size_t budget() override { return kept_bytes; }

    // Work in a stream's order, whatever the device is.
    void give(Stream stream, Work work) {
        if (auto* const gpu = dynamic_cast<FakeGpu*>(device_.get()))
            gpu->give(stream, std::move(work));
        else
            work();
    }

private:
    std::string const name_ = "a formula";
    Manifest manifest_{};
    std::vector<StepGroup> groups_;
    std::shared_ptr<Device> const device_;
    std::map<std::string, std::unique_ptr<FakeGraph>> graphs_;
};

class FakeContext : public Context {
public:
    FakeContext(FakeNetwork& network, std::string graph) : network_(network), graph_(std::move(graph)) {}
    void reshape(int, std::map<std::string, Shape> const& shapes, Stream) override { shapes_ = shapes; }
    Shape shape(std::string const&) override { throw std::logic_error("there is no decoder"); }
    void bind(std::string const& tensor, void* address) override { at_[tensor] = static_cast<float*>(address); }
    void enqueue(Stream stream) override {
        if (graph_ == "conditioner")
            condition(stream);
        else
            denoise(stream);
    }

private:
    void condition(Stream stream) {
        network_.give(stream, [this, times = shapes_["t"][0], labels = shapes_["label"][0]] {
            auto const* const label = reinterpret_cast<std::int64_t const*>(at_["label"]);
            for (std::int64_t row = 0; row < times * labels; ++row) {
                std::int64_t const of_row = label[row % labels];
                std::fill_n(at_["modulation"] + 12 * row, 12, modulation_of(at_["t"][row / labels], of_row));
                std::fill_n(at_["final"] + 2 * row, 2, final_of(of_row));
            }
            network_.conditioned += static_cast<int>(times * labels);
        });
    }
    void denoise(Stream stream) {
        network_.give(stream, [this, shape = shapes_["latent"]] {
            ++network_.runs;
            std::int64_t const elements = shape[1] * shape[2] * shape[3];
            float const sign = graph_ == "second" ? -1.0f : 1.0f;
            for (std::int64_t i = 0; i < shape[0] * elements; ++i) {
                std::int64_t const row = i / elements;
                at_["velocity"][i] = sign * velocity_of(at_["latent"][i], at_["s_max"][2 * row],
                                                        at_["modulation"][12 * row + 11], at_["final"][2 * row + 1]);
            }
        });
    }

    FakeNetwork& network_;
    std::string const graph_;
    std::map<std::string, Shape> shapes_;
    std::map<std::string, float*> at_;
};

inline std::unique_ptr<Context> FakeGraph::context() { return std::make_unique<FakeContext>(network_, name_); }

}  // namespace fdcn::impl
