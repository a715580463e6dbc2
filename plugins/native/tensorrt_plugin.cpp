// fdcn::MultiScaleDCN as a TensorRT plugin. One source, without a condition, for the headers of TensorRT 10.6 and
// later, of 11 and of TensorRT-RTX; it calls nothing of TensorRT's libraries but what they hand in.
#include <NvInferRuntime.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <exception>
#include <limits>
#include <new>
#include <stdexcept>
#include <string>

#include "contract.h"
#include "launch.h"

namespace fdcn {
namespace {

using namespace nvinfer1;

constexpr int32_t kInputs = 3;
constexpr int32_t kFailed = -1;

std::atomic<ILoggerFinder*> logger_finder{nullptr};

void log(char const* where, char const* what) noexcept {
    try {
        ILoggerFinder* const finder = logger_finder;
        ILogger* const logger = finder != nullptr ? finder->findLogger() : nullptr;
        std::string const text = std::string(kDomain) + "::" + kName + ": " + where + ": " + what;
        if (logger != nullptr) logger->log(ILogger::Severity::kERROR, text.c_str());
    } catch (...) {  // no memory for a message: the status alone must do
    }
}

// TensorRT's interfaces are noexcept: what goes wrong becomes a line in its log and the value for failure.
template <class Value, class Body>
Value guarded(char const* where, Value failure, Body&& body) noexcept {
    try {
        return body();
    } catch (std::exception const& error) {
        log(where, error.what());
    } catch (...) {
        log(where, "an unknown exception");
    }
    return failure;
}

[[noreturn]] void refuse(std::string const& what) { throw std::invalid_argument(what); }

Type type_of(DataType type) {
    switch (type) {
        case DataType::kFLOAT: return Type::kFloat32;
        case DataType::kHALF: return Type::kFloat16;
        case DataType::kBF16: return Type::kBFloat16;
        default: refuse("projection is neither float32 nor float16 nor bfloat16");
    }
}

bool supported(DataType type) {
    return type == DataType::kFLOAT || type == DataType::kHALF || type == DataType::kBF16;
}

// Whether a size is `wanted` or, being known only when the engine runs, may be.
bool may_be(int64_t size, int64_t wanted) { return size == wanted || size < 0; }

// Without the CUDA runtime's own texts, which a library of embedded kernels is not linked with.
std::string explain(cudaError_t status) {
    std::string const number = "CUDA error " + std::to_string(static_cast<int>(status));
    std::string const cuda = std::to_string(FDCN_CUDA_VERSION / 1000);
    if (status == cudaErrorInsufficientDriver) return number + ": the driver is older than CUDA " + cuda;
    if (status == cudaErrorNoKernelImageForDevice) return number + ": this library has no code for this GPU";
    return number;
}

// G and K, with room for all numbers of the taps in an int.
struct Layout {
    int32_t groups, taps;

    int64_t tap_width() const { return int64_t{kTapFields} * groups * taps; }

    // Refuse input dimensions that cannot be the operator's; negative ones are not known yet.
    void check(Dims const& projection, Dims const& prior, Dims const& s_max) const {
        if (projection.nbDims != 4 || prior.nbDims != 2 || s_max.nbDims != 2)
            refuse("projection, prior and s_max have not 4, 2 and 2 axes");
        int64_t const width = projection.d[3], values = width - tap_width();
        if (width >= 0 && (values < groups || values % groups != 0))
            refuse("a projection " + std::to_string(width) + " wide cannot hold " + std::to_string(groups) +
                   " groups of " + std::to_string(taps) + " taps and equal values");
        if (!may_be(prior.d[0], taps) || !may_be(prior.d[1], 2)) refuse("prior is not [taps, 2]");
        if (!may_be(s_max.d[1], 2)) refuse("s_max is not [N, 2]");
        if (projection.d[0] >= 0 && !may_be(s_max.d[0], projection.d[0])) refuse("s_max has not one row an image");
    }

    // Shape of a call whose dimensions are all known.
    Shape shape(PluginTensorDesc const* in) const {
        check(in[0].dims, in[1].dims, in[2].dims);
        auto const& d = in[0].dims.d;
        int64_t const channels = (d[3] - tap_width()) / groups;
        if (channels > std::numeric_limits<int>::max()) refuse("a group has too many channels");
        Shape const shape{d[0], d[1], d[2], groups, static_cast<int>(channels), taps};
        if (!shape.empty() && !can_launch(shape)) refuse("the shape is too large for one launch");
        return shape;
    }
};

class Plugin final : public IPluginV3,
                     public IPluginV3OneCore,
                     public IPluginV3OneBuild,
                     public IPluginV3OneRuntime {
 public:
    explicit Plugin(Layout layout)
        : layout_(layout),
          timing_id_("groups " + std::to_string(layout.groups) + ", taps " + std::to_string(layout.taps)) {}

    IPluginCapability* getCapabilityInterface(PluginCapabilityType type) noexcept override {
        switch (type) {
            case PluginCapabilityType::kCORE: return static_cast<IPluginV3OneCore*>(this);
            case PluginCapabilityType::kBUILD: return static_cast<IPluginV3OneBuild*>(this);
            case PluginCapabilityType::kRUNTIME: return static_cast<IPluginV3OneRuntime*>(this);
        }
        return nullptr;
    }

    IPluginV3* clone() noexcept override {
        return guarded<IPluginV3*>("clone", nullptr, [&] { return new Plugin(layout_); });
    }

    AsciiChar const* getPluginName() const noexcept override { return kName; }
    AsciiChar const* getPluginVersion() const noexcept override { return kVersionText; }
    AsciiChar const* getPluginNamespace() const noexcept override { return kDomain; }

    int32_t getNbOutputs() const noexcept override { return 1; }

    int32_t getOutputDataTypes(DataType* out, int32_t, DataType const* in, int32_t count) const noexcept override {
        return guarded("getOutputDataTypes", kFailed, [&] {
            if (count != kInputs) refuse("there are " + std::to_string(count) + " inputs, not 3");
            type_of(in[0]);
            if (in[1] != DataType::kFLOAT || in[2] != DataType::kFLOAT) refuse("prior and s_max are not float32");
            out[0] = in[0];
            return 0;
        });
    }

    int32_t getOutputShapes(DimsExprs const* in, int32_t count, DimsExprs const*, int32_t, DimsExprs* out, int32_t,
                            IExprBuilder& expressions) noexcept override {
        return guarded("getOutputShapes", kFailed, [&] {
            if (count != kInputs) refuse("there are " + std::to_string(count) + " inputs, not 3");
            layout_.check(known(in[0]), known(in[1]), known(in[2]));
            out[0] = in[0];
            out[0].d[3] = expressions.operation(DimensionOperation::kSUB, *in[0].d[3],
                                                *expressions.constant(layout_.tap_width()));
            return out[0].d[3] != nullptr ? 0 : kFailed;
        });
    }

    bool supportsFormatCombination(int32_t position, DynamicPluginTensorDesc const* all, int32_t,
                                   int32_t) noexcept override {
        PluginTensorDesc const& tensor = all[position].desc;
        if (tensor.format != TensorFormat::kLINEAR) return false;
        if (position == 0) return supported(tensor.type);
        return tensor.type == (position == kInputs ? all[0].desc.type : DataType::kFLOAT);
    }

    int32_t configurePlugin(DynamicPluginTensorDesc const* in, int32_t, DynamicPluginTensorDesc const*,
                            int32_t) noexcept override {
        return guarded("configurePlugin", kFailed, [&] {
            layout_.check(in[0].desc.dims, in[1].desc.dims, in[2].desc.dims);
            return 0;
        });
    }

    size_t getWorkspaceSize(DynamicPluginTensorDesc const*, int32_t, DynamicPluginTensorDesc const*,
                            int32_t) const noexcept override {
        return 0;
    }

    // Without one, TensorRT times the layer anew in every build, whatever its timing cache holds.
    char const* getTimingCacheID() noexcept override { return timing_id_.c_str(); }

    int32_t onShapeChange(PluginTensorDesc const* in, int32_t, PluginTensorDesc const*, int32_t) noexcept override {
        return guarded("onShapeChange", kFailed, [&] {
            layout_.shape(in);
            return 0;
        });
    }

    int32_t enqueue(PluginTensorDesc const* in, PluginTensorDesc const*, void const* const* inputs,
                    void* const* outputs, void*, cudaStream_t stream) noexcept override {
        return guarded("enqueue", kFailed, [&] {
            cudaError_t const status = multi_scale_dcn(
                type_of(in[0].type), layout_.shape(in), inputs[0], static_cast<float const*>(inputs[1]),
                static_cast<float const*>(inputs[2]), outputs[0], stream);
            if (status != cudaSuccess) log("enqueue", explain(status).c_str());
            return static_cast<int32_t>(status);
        });
    }

    IPluginV3* attachToContext(IPluginResourceContext*) noexcept override { return clone(); }

    PluginFieldCollection const* getFieldsToSerialize() noexcept override {
        fields_ = {PluginField{kGroups, &layout_.groups, PluginFieldType::kINT32, 1},
                   PluginField{kTaps, &layout_.taps, PluginFieldType::kINT32, 1}};
        collection_ = {static_cast<int32_t>(fields_.size()), fields_.data()};
        return &collection_;
    }

 private:
    // Dimensions while a network is built: -1 for those that are not known.
    static Dims known(DimsExprs const& expressions) {
        Dims dims{};
        dims.nbDims = expressions.nbDims;
        for (int32_t i = 0; i < dims.nbDims; ++i)
            dims.d[i] = expressions.d[i]->isConstant() ? expressions.d[i]->getConstantValue() : -1;
        return dims;
    }

    Layout layout_;
    std::string timing_id_;
    std::array<PluginField, 2> fields_{};
    PluginFieldCollection collection_{};
};

// An attribute of a node, or a field of a serialised plugin: a positive integer of 32 or of 64 bits.
int32_t read(PluginFieldCollection const* collection, char const* name) {
    for (int32_t i = 0; collection != nullptr && i < collection->nbFields; ++i) {
        PluginField const& field = collection->fields[i];
        if (field.name == nullptr || std::strcmp(field.name, name) != 0) continue;
        int64_t value = 0;
        if (field.data == nullptr || field.length != 1) {
            refuse(std::string(name) + " is not one number");
        } else if (field.type == PluginFieldType::kINT64) {
            std::memcpy(&value, field.data, sizeof value);
        } else if (field.type == PluginFieldType::kINT32) {
            int32_t narrow = 0;
            std::memcpy(&narrow, field.data, sizeof narrow);
            value = narrow;
        } else {
            refuse(std::string(name) + " is not an integer");
        }
        if (value < 1 || value > std::numeric_limits<int32_t>::max())
            refuse(std::string(name) + " = " + std::to_string(value) + " is impossible");
        return static_cast<int32_t>(value);
    }
    refuse("the attribute " + std::string(name) + " is missing");
}

class Creator final : public IPluginCreatorV3One {
 public:
    IPluginV3* createPlugin(AsciiChar const*, PluginFieldCollection const* fields, TensorRTPhase) noexcept override {
        return guarded<IPluginV3*>("createPlugin", nullptr, [&] {
            Layout const layout{read(fields, kGroups), read(fields, kTaps)};
            if (layout.groups > std::numeric_limits<int32_t>::max() / layout.taps / kTapFields)
                refuse("groups and taps are impossible");
            return new Plugin(layout);
        });
    }

    PluginFieldCollection const* getFieldNames() noexcept override { return &collection_; }
    AsciiChar const* getPluginName() const noexcept override { return kName; }
    AsciiChar const* getPluginVersion() const noexcept override { return kVersionText; }
    AsciiChar const* getPluginNamespace() const noexcept override { return kDomain; }

 private:
    std::array<PluginField, 2> fields_{PluginField{kGroups, nullptr, PluginFieldType::kINT32, 1},
                                       PluginField{kTaps, nullptr, PluginFieldType::kINT32, 1}};
    PluginFieldCollection collection_{2, fields_.data()};
};

Creator creator;
IPluginCreatorInterface* const creators[] = {&creator};

}  // namespace
}  // namespace fdcn

#define FDCN_EXPORT extern "C" __attribute__((visibility("default")))

FDCN_EXPORT nvinfer1::IPluginCreatorInterface* const* getCreators(int32_t& count) {
    count = 1;
    return fdcn::creators;
}

// The CUDA version of the compiler of the kernels, as 13000: NVIDIA's driver must be for that major version or newer.
FDCN_EXPORT int fdcn_cuda_version() { return FDCN_CUDA_VERSION; }

FDCN_EXPORT void setLoggerFinder(nvinfer1::ILoggerFinder* finder) { fdcn::logger_finder = finder; }
