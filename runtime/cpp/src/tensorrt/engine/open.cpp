#include "tensorrt/open.h"

#include <algorithm>
#include <utility>

#include "messages.h"
#include "tensorrt/choice.h"
#include "tensorrt/engine/cuda_device.h"
#include "tensorrt/engine/plugin.h"
#include "tensorrt/engine/trt_graph.h"
#include "text/python_text.h"

namespace fdcn::impl {
namespace {

namespace say = messages::tensorrt;

constexpr std::size_t kScratchAtLeast = 256;

// An engine on CUDA's device, which also looks whether a caller's noise lies there.
class TrtNetwork final : public EngineNetwork {
public:
    TrtNetwork(std::shared_ptr<Bundle const> bundle, Engine const& engine, std::string name,
               std::shared_ptr<CudaDevice> device, ProfiledGraphs graphs)
        : EngineNetwork(std::move(bundle), engine, std::move(name), device, std::move(graphs)), cuda_(device) {}

    std::int64_t together(Batch const& batch) override {
        if (batch.noise && batch.noise->on_device) {
            auto const& shape = batch.noise->shape;
            if (auto const place = cuda_->elsewhere(batch.noise->data.get()))
                throw Error(messages::array::elsewhere(
                    "noise", *place,
                    messages::array::wanted(list({shape.begin(), shape.end()}), cuda_->ordinal())));
        }
        return EngineNetwork::together(batch);
    }

private:
    std::shared_ptr<CudaDevice> cuda_;
};

// The GPU that is to be used; none where ONNX Runtime is to run instead.
std::optional<Gpu> wanted_gpu(Options const& options) {
    std::optional<Gpu> gpu;
    try {
        gpu = numbered_gpu(options.device, driver());
    } catch (Error const& error) {
        throw Error(messages::backend::or_on_cpu(error.what()));
    }
    if (!gpu && options.backend != "auto") throw Error(messages::backend::no_gpu());
    return gpu;
}

// The graphs of an engine, which share the memory of their activations. The device is current.
ProfiledGraphs load(std::map<std::string, std::string> const& files, CudaDevice& device) {
    auto const runtime = open_runtime();
    std::vector<std::unique_ptr<TrtGraph>> loaded;
    std::size_t size = kScratchAtLeast;
    for (auto const& [name, file] : files) {
        loaded.push_back(std::make_unique<TrtGraph>(name, file, runtime));
        size = std::max(size, loaded.back()->scratch_size());
    }
    auto const scratch =
        std::make_shared<Scratch const>(Scratch{allocated(device, "the network's activations", size), size});
    ProfiledGraphs graphs;
    for (auto& graph : loaded) {
        graph->share(scratch);
        std::string const name = graph->name();
        graphs[name] = std::move(graph);
    }
    return graphs;
}

std::string described(Target const& target, Gpu const& gpu) {
    std::string const library = target.flavour == "tensorrt-rtx" ? "TensorRT-RTX " : "TensorRT ";
    std::string const plugin = target.plugin.kind == "aot"    ? say::plugin_aot()
                               : target.plugin.kind == "none" ? say::plugin_none()
                                                              : say::plugin_linked();
    return say::name(library + target.version, gpu.name, gpu.architecture(), target.precision, plugin);
}

}  // namespace

std::unique_ptr<Network> open_tensorrt(std::shared_ptr<Bundle const> bundle, Options const& options) {
    std::optional<Gpu> const gpu = wanted_gpu(options);
    if (!gpu) return nullptr;
    Engine const& engine = choose(bundle->path(), bundle->manifest().engines, {*gpu, installed_tensorrt()});
    auto const files = engine_files(*bundle, engine);
    auto const device = std::make_shared<CudaDevice>(*gpu, *driver());
    auto const current = device->current();
    std::string const& kind = engine.target->plugin.kind;
    if (kind == "library" || kind == "python") register_operator();
    return std::make_unique<TrtNetwork>(bundle, engine, described(*engine.target, *gpu), device, load(files, *device));
}

}  // namespace fdcn::impl
