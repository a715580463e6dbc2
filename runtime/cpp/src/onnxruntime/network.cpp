#include "onnxruntime/network.h"

#include <algorithm>
#include <initializer_list>
#include <set>
#include <stdexcept>
#include <utility>

#include "messages.h"
#include "onnxruntime/integer_products.h"
#include "onnxruntime/open.h"
#include "sampler/batch_shape.h"
#include "sampler/host_device.h"
#include "sampler/host_memory.h"
#include "tables.h"
#include "text/python_text.h"

// Of plugins/native/onnxruntime_ops.cpp, which is part of this library.
extern "C" OrtStatus* register_fdcn_operator(OrtSessionOptions* options);

namespace fdcn::impl {

namespace {

constexpr char kBackend[] = "onnxruntime";

// The newest engine that was made for this version and the operator in this library, whatever its precision.
Engine const* newest_engine(Manifest const& manifest) {
    std::string const base = std::string(kBackend) + "-" + onnxruntime_version() + "-native";
    auto const fits = [&](Engine const& engine) {
        if (engine.backend != kBackend) return false;
        return engine.key == base || (engine.precision() != "float32" && engine.key == base + "-" + engine.precision());
    };
    auto const found = std::find_if(manifest.engines.rbegin(), manifest.engines.rend(), fits);
    return found == manifest.engines.rend() ? nullptr : &*found;
}

// Those with Q/DQ pairs are optimised where they are loaded: which integer products are fast and right depends on the
// processor.
bool optimised_ahead(Engine const* engine) { return engine && engine->precision() == "float32"; }

std::int64_t conditioning_bytes(LoadedGraph const& conditioner) {
    std::int64_t bytes = 0;
    for (std::string const& output : conditioner.outputs()) {
        std::int64_t row = sizeof(float);
        Shape const shape = conditioner.shape(output);
        for (std::size_t axis = 1; axis < shape.size(); ++axis) row *= shape[axis];
        bytes += row;
    }
    return bytes;
}

// A request's sides and a manifest's numbers may be anything up to a billion, and products end at this type's largest.
__extension__ typedef __int128 Wide;

Wide product(std::initializer_list<Wide> factors) {
    Wide whole = 1;
    for (Wide const factor : factors)
        if (__builtin_mul_overflow(whole, factor, &whole))
            return static_cast<Wide>(~static_cast<unsigned __int128>(0) >> 2);
    return whole;
}

// What a run of a graph takes of the host, besides its inputs and outputs.
Activations activations(Manifest const& m, std::string const& graph) {
    auto const number = [](std::int64_t value) { return static_cast<double>(value); };
    if (graph == "conditioner") return {};
    if (graph != "decoder") return {number(m.memory.token) / number(m.model.patch) / number(m.model.patch), 0.0};
    return {number(m.pixel_factor) * number(m.pixel_factor) * number(m.memory.pixel), number(m.memory.latent_pair)};
}

// Throws Error for a session of another graph.
void check_names(std::string const& name, std::string const& file, LoadedGraph const& graph) {
    std::set<std::string> const inputs(graph.inputs().begin(), graph.inputs().end());
    std::set<std::string> const outputs(graph.outputs().begin(), graph.outputs().end());
    using Names = std::set<std::string>;
    bool fits = inputs == Names{"latent", "modulation", "final", "s_max"} && outputs.size() == 1;
    if (name == "conditioner") fits = inputs == Names{"t", "label"} && outputs == Names{"modulation", "final"};
    if (name == "decoder") fits = inputs == Names{"latent"} && outputs.size() == 1;
    if (!fits)
        throw Error(messages::onnxruntime::other_graph(file, name, joined(graph.inputs(), ", "),
                                                       joined(graph.outputs(), ", ")));
}

// Tokens of an evaluation of one image, and bytes that sampling it takes.
struct Need {
    Wide tokens, bytes;

    Need(Manifest const& m, Batch const& batch) {
        Wide const side = product({batch.latent[1], batch.latent[2]});
        tokens = side / product({m.model.patch, m.model.patch}) * BatchShape::of(batch).passes();
        Wide const decoding = product({side, m.pixel_factor, m.pixel_factor, m.memory.pixel}) +
                              product({side, side, m.memory.latent_pair});
        bytes = std::max(product({tokens, m.memory.token}), decoding);
    }
};

}  // namespace

OnnxNetwork::OnnxNetwork(std::shared_ptr<Bundle const> bundle)
    : bundle_(std::move(bundle)),
      environment_(new_environment()),
      device_(std::make_shared<HostDevice>()),
      engine_(newest_engine(bundle_->manifest())),
      graphs_(engine_ ? &engine_->graphs : &bundle_->manifest().graphs) {
    std::string const graphs = !engine_                     ? "portable"
                               : optimised_ahead(engine_) ? "optimised"
                                                            : engine_->precision() + " engine's";
    name_ = messages::onnxruntime::name(onnxruntime_version(), graphs, "native");
    graph("conditioner");
}

std::vector<StepGroup> const& OnnxNetwork::step_groups() const {
    static std::vector<StepGroup> const none;
    return engine_ ? engine_->step_groups : none;
}

LoadedGraph& OnnxNetwork::graph(std::string const& name) {
    std::lock_guard<std::mutex> const lock(opening_);
    std::unique_ptr<OnnxGraph>& opened = opened_[name];
    if (!opened) {
        std::string const path = bundle_->graph(graphs_->at(name));
        std::int64_t const factor = name == "decoder" ? manifest().pixel_factor : 1;
        auto loaded = std::make_unique<OnnxGraph>(name, path, environment_, session_options(), factor,
                                                  activations(manifest(), name));
        check_names(name, path, *loaded);
        opened = std::move(loaded);
    }
    return *opened;
}

Ort::SessionOptions OnnxNetwork::session_options() const {
    Ort::SessionOptions options;
    options.SetLogSeverityLevel(ORT_LOGGING_LEVEL_FATAL);
    options.SetGraphOptimizationLevel(optimised_ahead(engine_) ? ORT_DISABLE_ALL : ORT_ENABLE_ALL);
    if (engine_ && engine_->precision() == "int8" && integer_products_saturate(environment_))
        options.AddConfigEntry("session.x64quantprecision", "1");  // takes kernels that do not: exact, slower
    Ort::ThrowOnError(register_fdcn_operator(options));
    return options;
}

std::optional<Fit> OnnxNetwork::fit(std::string const&, std::int64_t rows, std::array<std::int64_t, 2> const&) {
    return Fit{0, {{0, rows}}};
}

Error OnnxNetwork::outside(std::string const&, std::int64_t, std::array<std::int64_t, 2> const&) {
    throw std::logic_error("every size fits");
}

std::int64_t OnnxNetwork::together(Batch const& batch) {
    if (batch.on_device || batch.stream || (batch.noise && batch.noise->on_device))
        throw Error(messages::sampling::host_only(name_));
    Need const need(manifest(), batch);
    auto const free = available_bytes();
    if (free && need.bytes > *free)
        throw Error(messages::sampling::memory(format_size(batch.size), format_bytes(static_cast<double>(need.bytes)),
                                               format_bytes(static_cast<double>(*free))));
    Wide const room = free ? *free / need.bytes : 1;
    // The modulations of one evaluation, the null class's among them, are kept at a time.
    Wide const conditioned = conditioning().kept - 1;
    Wide const images = std::min({tables::kTokensAtOnce / need.tokens, room, conditioned});
    return static_cast<std::int64_t>(std::max<Wide>(1, images));
}

Network::Conditioning OnnxNetwork::conditioning() {
    // A quarter for what the conditioner has just made, the rest for the slots.
    std::int64_t const rows = tables::kConditioningBytes / conditioning_bytes(graph("conditioner"));
    std::int64_t const made = std::max<std::int64_t>(1, rows / 4);
    return {std::max<std::int64_t>(2, rows - made), made, made, made};
}

// A shape is prepared in a moment, and kept ones would be many.
std::size_t OnnxNetwork::budget() { return 0; }

std::unique_ptr<Network> open_onnxruntime(std::shared_ptr<Bundle const> bundle) {
    return std::make_unique<OnnxNetwork>(std::move(bundle));
}

}  // namespace fdcn::impl
