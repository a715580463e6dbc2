#include "tensorrt/gpu.h"

#include <stdexcept>
#include <vector>

#include "fdcn/fdcn.hpp"
#include "messages.h"
#include "tables.h"
#include "text/python_text.h"

namespace fdcn::impl {
namespace {

namespace say = messages::gpu;

// CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR.
constexpr int kComputeMajor = 75, kComputeMinor = 76;
// CUDA_ERROR_STUB_LIBRARY and CUDA_ERROR_NO_DEVICE: what cuInit says where there is no GPU.
constexpr int kStubLibrary = 34, kNoDevice = 100;

Gpu device(Driver const& driver, int index, int cuda, std::optional<std::string> const& version) {
    int handle = 0, major = 0, minor = 0;
    char name[256]{};
    driver.check("cuDeviceGet", driver.device(&handle, index));
    driver.check("cuDeviceGetName", driver.device_name(name, sizeof name, handle));
    driver.check("cuDeviceGetAttribute", driver.device_attribute(&major, kComputeMajor, handle));
    driver.check("cuDeviceGetAttribute", driver.device_attribute(&minor, kComputeMinor, handle));
    return {name, 10 * major + minor, cuda, version, index};
}

// Every device; throws std::runtime_error with what the driver said where a call of it fails.
std::vector<Gpu> devices(Driver const& driver) {
    int const status = driver.init(0);
    if (status == kStubLibrary || status == kNoDevice) return {};
    driver.check("cuInit", status);
    int count = 0, cuda = 0;
    driver.check("cuDeviceGetCount", driver.device_count(&count));
    driver.check("cuDriverGetVersion", driver.version(&cuda));
    std::optional<std::string> const version = count > 0 ? driver_version() : std::nullopt;
    std::vector<Gpu> found;
    for (int index = 0; index < count; ++index) found.push_back(device(driver, index, cuda, version));
    return found;
}

}  // namespace

std::optional<Gpu> numbered_gpu(std::optional<int> index, Driver const* driver) {
    std::vector<Gpu> found;
    try {
        if (driver != nullptr) found = devices(*driver);
    } catch (std::runtime_error const& error) {
        throw Error(say::driver_broken(error.what()));
    }
    if (found.empty()) {
        if (index) throw Error(say::none(*index));
        return std::nullopt;
    }
    int const wanted = index.value_or(0);
    if (wanted >= 0 && wanted < static_cast<int>(found.size())) return found[static_cast<std::size_t>(wanted)];
    std::vector<std::string> there;
    for (Gpu const& gpu : found) there.push_back(std::to_string(gpu.index) + ": " + gpu.name);
    throw Error(say::no_such(wanted, joined(there, ", ")));
}

bool has_precision(int compute, std::string_view precision) {
    for (tables::FirstArchitecture const& first : tables::kFirst)
        if (first.precision == precision) return compute >= first.number;
    return true;
}

}  // namespace fdcn::impl
