// A TensorRT whose engines run in ONNX Runtime, stricter than the real one. An engine's file is a line: the name of a
// graph of the tests' bundle, and for each profile the smallest, best and largest rows, height and width.
#include <NvInferRuntime.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <sstream>

#include "onnxruntime/open.h"
#include "simulated_gpu.h"

namespace {

using namespace nvinfer1;
using Extents = std::array<std::array<std::int64_t, 3>, 3>;  // rows, height, width: smallest, best and largest

ILogger* logger = nullptr;

fdcn::impl::Network& cpu() {
    static auto const network = fdcn::impl::open_onnxruntime(std::make_shared<fdcn::impl::Bundle>(FDCN_TEST_BUNDLE));
    return *network;
}

Dims to_dims(fdcn::impl::Shape const& shape) {
    Dims dims{static_cast<std::int32_t>(shape.size()), {}};
    std::copy(shape.begin(), shape.end(), dims.d);
    return dims;
}

std::int64_t scratch_of(std::int32_t profile) { return 1000 * (profile + 1); }

class Engine final : public ICudaEngine {
public:
    Engine(std::string const& graph, std::vector<Extents> profiles)
        : graph_(cpu().graph(graph)), profiles_(std::move(profiles)) {
        names_ = graph_.inputs();
        names_.insert(names_.end(), graph_.outputs().begin(), graph_.outputs().end());
    }

    std::int32_t getNbIOTensors() const noexcept override { return static_cast<std::int32_t>(names_.size()); }
    char const* getIOTensorName(std::int32_t i) const noexcept override {
        return names_[static_cast<std::size_t>(i)].c_str();
    }
    TensorIOMode getTensorIOMode(char const* name) const noexcept override {
        return is_input(name) ? TensorIOMode::kINPUT : TensorIOMode::kOUTPUT;
    }
    Dims getTensorShape(char const* name) const noexcept override { return to_dims(graph_.shape(name)); }
    Dims getProfileShape(char const* name, std::int32_t profile, OptProfileSelector which) const noexcept override {
        Extents const& extents = profiles_[static_cast<std::size_t>(profile)];
        auto const& [rows, height, width] = extents[static_cast<std::size_t>(which)];
        Dims dims = getTensorShape(name);
        dims.d[0] = rows;
        if (dims.nbDims == 4 && std::string(name) == "latent") {
            dims.d[2] = height;
            dims.d[3] = width;
        }
        return dims;
    }
    std::int32_t getNbOptimizationProfiles() const noexcept override {
        return static_cast<std::int32_t>(profiles_.size());
    }
    std::int64_t getDeviceMemorySizeForProfileV2(std::int32_t profile) const noexcept override {
        return scratch_of(profile);
    }
    IExecutionContext* createExecutionContext(ExecutionContextAllocationStrategy strategy) noexcept override;

    bool is_input(std::string const& name) const {
        auto const& inputs = graph_.inputs();
        return std::find(inputs.begin(), inputs.end(), name) != inputs.end();
    }
    fdcn::impl::LoadedGraph& graph() { return graph_; }

private:
    fdcn::impl::LoadedGraph& graph_;
    std::vector<Extents> profiles_;
    std::vector<std::string> names_;
};

// What one run is made with: a recording is of a run that was made before with the same.
struct Given {
    std::int32_t profile = 0;
    std::map<std::string, fdcn::impl::Shape> shapes;
    std::map<std::string, void*> addresses;
    bool operator==(Given const& other) const {
        return profile == other.profile && shapes == other.shapes && addresses == other.addresses;
    }
};

class ExecutionContext final : public IExecutionContext {
public:
    explicit ExecutionContext(Engine& engine) : engine_(engine), context_(engine.graph().context()) {}
    ~ExecutionContext() override {
        if (*pending_ != 0) simulated::violation("a context ends while it is used");
    }

    void setDeviceMemoryV2(void* memory, std::int64_t size) noexcept override {
        scratch_ = size >= scratch_of(engine_.getNbOptimizationProfiles() - 1) &&
                   simulated::inside(memory, static_cast<std::size_t>(size));
    }
    bool setOptimizationProfileAsync(std::int32_t profile, cudaStream_t) noexcept override {
        if (*pending_ != 0) simulated::violation("a context is changed while it is used");
        given_ = {profile, {}, given_.addresses};
        return profile < engine_.getNbOptimizationProfiles();
    }
    bool setInputShape(char const* name, Dims const& dims) noexcept override {
        Dims const low = engine_.getProfileShape(name, given_.profile, OptProfileSelector::kMIN);
        Dims const high = engine_.getProfileShape(name, given_.profile, OptProfileSelector::kMAX);
        bool fits = dims.nbDims == low.nbDims;
        for (std::int32_t i = 0; fits && i < dims.nbDims; ++i)
            fits = (low.d[i] < 0 || low.d[i] <= dims.d[i]) && (high.d[i] < 0 || dims.d[i] <= high.d[i]);
        if (!fits) logger->log(ILogger::Severity::kERROR, "Static dimension mismatch\n  while setting input shape.");
        given_.shapes[name] = fdcn::impl::Shape(dims.d, dims.d + dims.nbDims);
        return fits;
    }
    Dims getTensorShape(char const* name) const noexcept override {
        context_->reshape(0, given_.shapes, nullptr);
        return to_dims(context_->shape(name));
    }
    bool setTensorAddress(char const* name, void* address) noexcept override {
        if (reinterpret_cast<std::uintptr_t>(address) % 256 != 0) simulated::violation("an address is not aligned");
        given_.addresses[name] = address;
        return true;
    }
    bool enqueueV3(cudaStream_t stream) noexcept override {
        if (!scratch_) simulated::violation("a context has no memory to work in");
        bool const recorded = simulated::capturing(stream);
        if (recorded && !(given_ == run_with_)) {
            logger->log(ILogger::Severity::kERROR, "a context is recorded after a run with the same shapes alone");
            return false;
        }
        run_with_ = given_;
        if (!recorded) ++*pending_;
        return simulated::give(stream, [context = context_, given = given_, pending = pending_, recorded] {
            context->reshape(0, given.shapes, nullptr);
            for (auto const& [name, address] : given.addresses) context->bind(name, address);
            context->enqueue(nullptr);
            if (!recorded) --*pending;
        });
    }

private:
    Engine& engine_;
    std::shared_ptr<fdcn::impl::Context> context_;
    std::shared_ptr<int> pending_ = std::make_shared<int>(0);
    Given given_, run_with_;
    bool scratch_ = false;
};

IExecutionContext* Engine::createExecutionContext(ExecutionContextAllocationStrategy strategy) noexcept {
    if (strategy != ExecutionContextAllocationStrategy::kUSER_MANAGED) simulated::violation("TensorRT takes memory");
    return new ExecutionContext(*this);
}

class Runtime final : public IRuntime {
public:
    ICudaEngine* deserializeCudaEngine(void const* content, std::size_t size) noexcept override {
        std::istringstream from(std::string(static_cast<char const*>(content), size));
        std::string graph;
        from >> graph;
        if (!cpu().has(graph)) {
            logger->log(ILogger::Severity::kWARNING, "only a warning");
            logger->log(ILogger::Severity::kERROR, "Serialization assertion\n  stdVersionRead == 1 failed.");
            logger->log(ILogger::Severity::kERROR, "a consequence of it");
            return nullptr;
        }
        std::vector<Extents> profiles;
        for (Extents extents{}; from >> extents[0][0];) {
            for (std::size_t i = 1; i < 9; ++i) from >> extents[i / 3][i % 3];
            profiles.push_back(extents);
        }
        return new Engine(graph, std::move(profiles));
    }
};

IPluginCreatorInterface creator;
IPluginCreatorInterface* const creators[] = {&creator};

}  // namespace

IPluginCreatorInterface* IPluginRegistry::getCreator(AsciiChar const* name, AsciiChar const*,
                                                     AsciiChar const*) noexcept {
    auto const found = creators.find(name);
    return found == creators.end() ? nullptr : found->second;
}

bool IPluginRegistry::registerCreator(IPluginCreatorInterface& given, AsciiChar const*) noexcept {
    return creators.emplace("MultiScaleDCN", &given).second;
}

IRuntime* nvinfer1::createInferRuntime(ILogger& given) noexcept {
    if (logger != nullptr && logger != &given) simulated::violation("a second logger");
    logger = &given;
    return new Runtime();
}

extern "C" {
IPluginRegistry* getPluginRegistry() noexcept {
    static IPluginRegistry registry;
    return &registry;
}
ILogger* getLogger() noexcept { return logger; }
std::int32_t getInferLibMajorVersion() noexcept { return 10; }
std::int32_t getInferLibMinorVersion() noexcept { return 6; }
std::int32_t getInferLibPatchVersion() noexcept { return 0; }
std::int32_t getInferLibBuildVersion() noexcept { return 26; }

// The plugin's entry points.
IPluginCreatorInterface* const* embedded_plugin_creators(std::int32_t& count) { return count = 1, creators; }
void embedded_plugin_logger(ILoggerFinder*) {}
}
