#include "tensorrt/engine/plugin.h"

#include <NvInferRuntime.h>
#include <NvInferVersion.h>
#include <cuda_runtime_api.h>

#include <mutex>
#include <stdexcept>

#include "contract.h"

// plugins/native/tensorrt_plugin.cpp, under names of its own: cmake/tensorrt.cmake.
extern "C" nvinfer1::IPluginCreatorInterface* const* embedded_plugin_creators(std::int32_t& count);
extern "C" void embedded_plugin_logger(nvinfer1::ILoggerFinder* finder);

namespace fdcn::impl {
namespace {

class Finder final : public nvinfer1::ILoggerFinder {
public:
    nvinfer1::ILogger* findLogger() override { return getLogger(); }
};

#ifdef TRT_MAJOR_RTX
constexpr char kFlavour[] = "tensorrt-rtx";
#else
constexpr char kFlavour[] = "tensorrt";
#endif

}  // namespace

Installed installed_tensorrt() {
    std::string version;
    for (int const part : {getInferLibMajorVersion(), getInferLibMinorVersion(), getInferLibPatchVersion(),
                           getInferLibBuildVersion()})
        version += (version.empty() ? "" : ".") + std::to_string(part);
    return {kFlavour, version, CUDART_VERSION / 1000};
}

void register_operator() {
    static std::mutex mutex;
    static Finder finder;
    std::lock_guard<std::mutex> const lock(mutex);
    nvinfer1::IPluginRegistry& registry = *getPluginRegistry();
    if (registry.getCreator(kName, kVersionText, kDomain) != nullptr) return;
    embedded_plugin_logger(&finder);
    std::int32_t count = 0;
    nvinfer1::IPluginCreatorInterface* const* const creators = embedded_plugin_creators(count);
    for (std::int32_t i = 0; i < count; ++i)
        if (!registry.registerCreator(*creators[i], kDomain))
            throw std::runtime_error("TensorRT does not take the operator's plugin");
}

}  // namespace fdcn::impl
