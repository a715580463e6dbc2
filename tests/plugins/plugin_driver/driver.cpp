// Drives the plugin library as TensorRT does, with TensorRT's headers alone, and prints a line for all that it gives.
#include <NvInferRuntime.h>
#include <dlfcn.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

using namespace nvinfer1;

struct Logger : ILogger {
    void log(Severity severity, char const* text) noexcept override {
        std::printf("log %d %s\n", static_cast<int>(severity), text);
    }
};

struct Finder : ILoggerFinder {
    ILogger* findLogger() override { return &logger; }
    Logger logger;
};

template <class Function>
Function find(void* library, char const* name) {
    void* const found = dlsym(library, name);
    if (found == nullptr) std::exit(2);
    return reinterpret_cast<Function>(found);
}

template <class T>
PluginField field(char const* name, T const* data, PluginFieldType type, int32_t length = 1) {
    return PluginField{name, data, type, length};
}

IPluginV3* create(IPluginCreatorV3One* creator, char const* what, std::vector<PluginField> const& fields) {
    PluginFieldCollection const collection{static_cast<int32_t>(fields.size()), fields.data()};
    IPluginV3* const plugin = creator->createPlugin("node", &collection, TensorRTPhase::kBUILD);
    std::printf("create %s %s\n", what, plugin != nullptr ? "made" : "refused");
    return plugin;
}

void attributes(IPluginCreatorV3One* creator) {
    int32_t const two = 2, nine = 9, zero = 0, many = 1 << 20;
    int64_t const wide = 9, far = int64_t{1} << 40;
    float const real = 2;
    auto const i32 = PluginFieldType::kINT32, i64 = PluginFieldType::kINT64;
    create(creator, "int64", {field("groups", &two, i32), field("taps", &wide, i64)});
    create(creator, "more",
           {field("other", &real, PluginFieldType::kFLOAT32), field("groups", &two, i32), field("taps", &nine, i32)});
    create(creator, "missing", {field("groups", &two, i32)});
    create(creator, "none", {});
    create(creator, "zero", {field("groups", &zero, i32), field("taps", &nine, i32)});
    create(creator, "float", {field("groups", &real, PluginFieldType::kFLOAT32), field("taps", &nine, i32)});
    create(creator, "empty", {field("groups", &two, i32, 0), field("taps", &nine, i32)});
    create(creator, "null", {field<int32_t>("groups", nullptr, i32), field("taps", &nine, i32)});
    create(creator, "large", {field("groups", &two, i32), field("taps", &far, i64)});
    create(creator, "overflow", {field("groups", &many, i32), field("taps", &many, i32)});
    std::printf("create null-collection %s\n",
                creator->createPlugin("node", nullptr, TensorRTPhase::kBUILD) ? "made" : "refused");
}

PluginTensorDesc tensor(DataType type, std::vector<int64_t> const& shape) {
    PluginTensorDesc desc{};
    desc.type = type;
    desc.format = TensorFormat::kLINEAR;
    desc.dims.nbDims = static_cast<int32_t>(shape.size());
    for (size_t i = 0; i < shape.size(); ++i) desc.dims.d[i] = shape[i];
    return desc;
}

using Tensors = std::array<PluginTensorDesc, 4>;

Tensors tensors(DataType type, std::vector<int64_t> projection, std::vector<int64_t> prior,
                std::vector<int64_t> s_max) {
    auto const f32 = DataType::kFLOAT;
    return {tensor(type, projection), tensor(f32, prior), tensor(f32, s_max), tensor(type, {2, 3, 4, 10})};
}

void formats(IPluginV3OneBuild* build) {
    constexpr DataType types[] = {DataType::kFLOAT, DataType::kHALF, DataType::kBF16, DataType::kINT8,
                                  DataType::kINT32};
    for (int position = 0; position < 4; ++position) {
        std::printf("types %d", position);
        for (DataType first : types)
            for (DataType own : types) {
                std::array<DynamicPluginTensorDesc, 4> all{};
                for (auto& one : all) one.desc = tensor(DataType::kFLOAT, {1});
                all[0].desc.type = first;
                all[position].desc.type = own;
                if ((position != 0 || own == first) && build->supportsFormatCombination(position, all.data(), 3, 1))
                    std::printf(" %d:%d", static_cast<int>(first), static_cast<int>(own));
            }
        std::printf("\n");
    }
    std::array<DynamicPluginTensorDesc, 4> packed{};
    packed[0].desc = tensor(DataType::kHALF, {1});
    packed[0].desc.format = TensorFormat::kHWC8;
    std::printf("packed %d\n", build->supportsFormatCombination(0, packed.data(), 3, 1));
    for (DataType first : types)
        for (DataType second : {DataType::kFLOAT, DataType::kHALF}) {
            DataType const in[] = {first, second, DataType::kFLOAT};
            DataType out = DataType::kBOOL;
            int32_t const status = build->getOutputDataTypes(&out, 1, in, 3);
            std::printf("output %d,%d %d %d\n", static_cast<int>(first), static_cast<int>(second), status,
                        static_cast<int>(out));
        }
}

void run(IPluginV3* plugin) {
    auto* const runtime =
        static_cast<IPluginV3OneRuntime*>(plugin->getCapabilityInterface(PluginCapabilityType::kRUNTIME));
    auto const half = DataType::kHALF;
    struct {
        char const* name;
        Tensors tensors;
    } const shapes[] = {
        {"right", tensors(half, {2, 9, 17, 82}, {9, 2}, {2, 2})},
        {"float32", tensors(DataType::kFLOAT, {1, 1, 1, 90}, {9, 2}, {1, 2})},
        {"bfloat16", tensors(DataType::kBF16, {1, 1, 1, 90}, {9, 2}, {1, 2})},
        {"empty", tensors(half, {0, 3, 4, 82}, {9, 2}, {0, 2})},
        {"narrow", tensors(half, {2, 3, 4, 72}, {9, 2}, {2, 2})},
        {"uneven", tensors(half, {2, 3, 4, 83}, {9, 2}, {2, 2})},
        {"axes", tensors(half, {2, 12, 82}, {9, 2}, {2, 2})},
        {"prior", tensors(half, {2, 3, 4, 82}, {8, 2}, {2, 2})},
        {"rows", tensors(half, {2, 3, 4, 82}, {9, 2}, {1, 2})},
        {"large", tensors(half, {2, 1 << 25, 4, 82}, {9, 2}, {2, 2})},
        {"type", tensors(DataType::kINT8, {2, 3, 4, 82}, {9, 2}, {2, 2})},
    };
    static char memory[4096];  // never read: there is no GPU, or none that is real
    void const* const inputs[] = {memory, memory + 1024, memory + 2048};
    void* const outputs[] = {memory + 3072};
    for (auto const& shape : shapes) {
        auto const* const in = shape.tensors.data();
        int32_t const changed = runtime->onShapeChange(in, 3, in + 3, 1);
        int32_t const enqueued = runtime->enqueue(in, in + 3, inputs, outputs, nullptr, nullptr);
        std::printf("run %s %d %d\n", shape.name, changed, enqueued);
    }
    PluginFieldCollection const* const fields = runtime->getFieldsToSerialize();
    for (int32_t i = 0; i < fields->nbFields; ++i) {
        auto const& one = fields->fields[i];
        std::printf("field %s %d %d %d\n", one.name, static_cast<int>(one.type), one.length,
                    *static_cast<int32_t const*>(one.data));
    }
}

int main(int, char** arguments) {
    void* const library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return std::printf("%s\n", dlerror()), 2;
    static Finder finder;
    find<void (*)(ILoggerFinder*)>(library, "setLoggerFinder")(&finder);
    std::printf("cuda %d\n", find<int (*)()>(library, "fdcn_cuda_version")());
    int32_t count = 0;
    auto* const creators = find<IPluginCreatorInterface* const* (*)(int32_t&)>(library, "getCreators")(count);
    auto* const creator = static_cast<IPluginCreatorV3One*>(creators[0]);
    std::printf("creators %d %s::%s %s\n", count, creator->getPluginNamespace(), creator->getPluginName(),
                creator->getPluginVersion());
    attributes(creator);
    int32_t const groups = 2, taps = 9;
    auto const i32 = PluginFieldType::kINT32;
    IPluginV3* const made = create(creator, "right", {field("groups", &groups, i32), field("taps", &taps, i32)});
    IPluginV3* const plugin = made->clone();
    delete made;
    auto* const build = static_cast<IPluginV3OneBuild*>(plugin->getCapabilityInterface(PluginCapabilityType::kBUILD));
    std::printf("timing %s\n", build->getTimingCacheID());
    formats(build);
    run(plugin);
    delete plugin;
    // Without a logger nothing is said, and nothing breaks.
    find<void (*)(ILoggerFinder*)>(library, "setLoggerFinder")(nullptr);
    std::printf("silent %s\n", creator->createPlugin("node", nullptr, TensorRTPhase::kRUNTIME) ? "made" : "refused");
}
