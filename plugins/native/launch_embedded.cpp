// launch.h without the CUDA runtime: kernels that were compiled beforehand are part of this library (embedded.h), and
// the driver loads and launches them. It is looked up with the first launch, so the library loads where there is none.
#include <cuda.h>
#include <dlfcn.h>

#include <exception>
#include <map>
#include <mutex>

#include "embedded.h"
#include "launch.h"

namespace fdcn {
namespace {

constexpr long long kMostBlocks = (1LL << 31) - 1, kMostBlocksDown = 65535;  // of a grid's axes

long long ceil_divide(long long a, long long b) { return (a + b - 1) / b; }

struct Failure : std::exception {
    explicit Failure(cudaError_t status) : status(status) {}
    cudaError_t status;
};

// The runtime's numbers are the driver's.
void check(CUresult status) {
    if (status != CUDA_SUCCESS) throw Failure(static_cast<cudaError_t>(status));
}

class Driver {
 public:
    Driver() {
        library_ = dlopen("libcuda.so.1", RTLD_NOW);
        find(ctx_get_device, "cuCtxGetDevice");
        find(device_get_attribute, "cuDeviceGetAttribute");
        find(library_load_data, "cuLibraryLoadData");
        find(library_get_kernel, "cuLibraryGetKernel");
        find(launch_kernel, "cuLaunchKernel");
    }

    decltype(&cuCtxGetDevice) ctx_get_device;
    decltype(&cuDeviceGetAttribute) device_get_attribute;
    decltype(&cuLibraryLoadData) library_load_data;
    decltype(&cuLibraryGetKernel) library_get_kernel;
    decltype(&cuLaunchKernel) launch_kernel;

 private:
    template <class Function>
    void find(Function& function, char const* name) {
        function = library_ != nullptr ? reinterpret_cast<Function>(dlsym(library_, name)) : nullptr;
        if (function == nullptr) throw Failure(cudaErrorInsufficientDriver);
    }

    void* library_;
};

// As 86 for sm_86, of the device that is current.
int architecture(Driver const& driver) {
    CUdevice device = 0;
    int major = 0, minor = 0;
    check(driver.ctx_get_device(&device));
    check(driver.device_get_attribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device));
    check(driver.device_get_attribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device));
    return 10 * major + minor;
}

// The newest code that an architecture runs: machine code of its own generation, or PTX, which the driver compiles.
Image const* choose(int architecture) {
    Image const* best = nullptr;
    for (Image const& image : kImages) {
        bool const runs = image.architecture <= architecture &&
                          (image.ptx || image.architecture / 10 == architecture / 10);
        bool const better = best == nullptr || (best->ptx && !image.ptx) ||
                            (best->ptx == image.ptx && best->architecture < image.architecture);
        if (runs && better) best = &image;
    }
    return best;
}

// Kernels are loaded once for each architecture, and serve every context of the process.
CUfunction kernel(Driver const& driver, Type type) {
    static std::mutex mutex;
    static std::map<int, CUlibrary> libraries;
    int const own = architecture(driver);
    std::lock_guard<std::mutex> const lock(mutex);
    auto found = libraries.find(own);
    if (found == libraries.end()) {
        Image const* const image = choose(own);
        if (image == nullptr) throw Failure(cudaErrorNoKernelImageForDevice);
        CUlibrary library = nullptr;
        check(driver.library_load_data(&library, image->code, nullptr, nullptr, 0, nullptr, nullptr, 0));
        found = libraries.emplace(own, library).first;
    }
    CUkernel kernel = nullptr;
    check(driver.library_get_kernel(&kernel, found->second, kEntries[static_cast<int>(type)]));
    return reinterpret_cast<CUfunction>(kernel);
}

}  // namespace

bool can_launch(Shape const& shape) noexcept {
    // In this order no product overflows.
    return !shape.empty() && shape.valid() && shape.groups <= kMostBlocksDown && shape.width() < (1LL << 26) &&
           shape.tokens() < (1LL << 31) && ceil_divide(shape.rows, kTileRows) <= kMostBlocksDown &&
           shape.images <= kMostBlocks / ceil_divide(shape.columns, kTileColumns);
}

cudaError_t multi_scale_dcn(Type type, Shape const& shape, void const* projection, float const* prior,
                            float const* s_max, void* out, cudaStream_t stream) noexcept {
    bool const nothing = shape.images == 0 || shape.rows == 0 || shape.columns == 0;
    if (nothing && shape.groups > 0 && shape.channels > 0 && shape.taps > 0) return cudaSuccess;
    if (!can_launch(shape) || !projection || !prior || !s_max || !out) return cudaErrorInvalidValue;
    try {
        static Driver const driver;
        int sizes[] = {static_cast<int>(shape.images), static_cast<int>(shape.rows), static_cast<int>(shape.columns),
                       shape.groups, shape.channels, shape.taps};
        void* arguments[] = {&projection, &prior,    &s_max,    &sizes[0], &sizes[1],
                             &sizes[2],   &sizes[3], &sizes[4], &sizes[5], &out};
        auto const across = static_cast<unsigned>(shape.images * ceil_divide(shape.columns, kTileColumns));
        auto const down = static_cast<unsigned>(ceil_divide(shape.rows, kTileRows));
        check(driver.launch_kernel(kernel(driver, type), across, down, static_cast<unsigned>(shape.groups), kThreads,
                                   1, 1, 0, stream, arguments, nullptr));
        return cudaSuccess;
    } catch (Failure const& failure) {
        return failure.status;
    } catch (std::exception const&) {
        return cudaErrorUnknown;
    }
}

}  // namespace fdcn
