#include "tensorrt/driver.h"

#include <dlfcn.h>

#include <stdexcept>

namespace fdcn::impl {
namespace {

template <class Function>
bool find(void* library, char const* name, Function& function) {
    function = reinterpret_cast<Function>(dlsym(library, name));
    return function != nullptr;
}

Driver const* open_driver() {
    void* const library = dlopen("libcuda.so.1", RTLD_NOW);
    if (library == nullptr) return nullptr;
    static Driver found{};
    bool const whole = find(library, "cuInit", found.init) && find(library, "cuDeviceGetCount", found.device_count) &&
                       find(library, "cuDriverGetVersion", found.version) &&
                       find(library, "cuDeviceGet", found.device) &&
                       find(library, "cuDeviceGetName", found.device_name) &&
                       find(library, "cuDeviceGetAttribute", found.device_attribute) &&
                       find(library, "cuGetErrorString", found.error_text) &&
                       find(library, "cuDevicePrimaryCtxRetain", found.retain_context) &&
                       find(library, "cuCtxPushCurrent_v2", found.push_context) &&
                       find(library, "cuCtxPopCurrent_v2", found.pop_context);
    return whole ? &found : nullptr;
}

}  // namespace

std::string Driver::said(char const* function, int status) const {
    char const* text = nullptr;
    error_text(status, &text);
    return std::string(function) + ": " + (text != nullptr ? text : "unknown error") + " (" + std::to_string(status) +
           ")";
}

void Driver::check(char const* function, int status) const {
    if (status != 0) throw std::runtime_error(said(function, status));
}

Driver const* driver() {
    static Driver const* const found = open_driver();
    return found;
}

std::optional<std::string> driver_version() {
    void* const library = dlopen("libnvidia-ml.so.1", RTLD_NOW);
    if (library == nullptr) return std::nullopt;
    int (*init)() = nullptr;
    int (*version)(char*, unsigned) = nullptr;
    int (*shutdown)() = nullptr;
    std::optional<std::string> said;
    if (find(library, "nvmlInit_v2", init) && find(library, "nvmlSystemGetDriverVersion", version) &&
        find(library, "nvmlShutdown", shutdown) && init() == 0) {
        char text[96]{};
        if (version(text, sizeof text) == 0) said = text;
        shutdown();
    }
    dlclose(library);
    return said;
}

}  // namespace fdcn::impl
