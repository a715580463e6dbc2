// A libcuda.so.1 for tests: its device has the architecture that $FAKE_ARCHITECTURE says, and it says what it is given.
#include <cuda.h>
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

extern "C" {

CUresult cuGetProcAddress(char const* name, void** function, int, cuuint64_t, CUdriverProcAddressQueryResult*) {
    *function = dlsym(RTLD_DEFAULT, name);
    return *function != nullptr ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

CUresult cuDriverGetVersion(int* version) {
    *version = CUDA_VERSION;
    return CUDA_SUCCESS;
}

CUresult cuCtxGetDevice(CUdevice* device) {
    *device = 0;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice) {
    int const architecture = std::atoi(std::getenv("FAKE_ARCHITECTURE"));
    *value = attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR ? architecture / 10 : architecture % 10;
    return CUDA_SUCCESS;
}

CUresult cuLibraryLoadData(CUlibrary* library, void const* code, CUjit_option*, void**, unsigned, CUlibraryOption*,
                           void**, unsigned) {
    bool const elf = std::memcmp(code,
                                 "\x7f"
                                 "ELF",
                                 4) == 0;
    char const* const target = elf ? "" : std::strstr(static_cast<char const*>(code), ".target sm_");
    std::printf("load %s %.6s\n", elf ? "cubin" : "ptx", elf ? "" : target + 8);
    *library = reinterpret_cast<CUlibrary>(std::malloc(1));
    return CUDA_SUCCESS;
}

CUresult cuLibraryGetKernel(CUkernel* kernel, CUlibrary, char const* name) {
    static char names[8][32];
    static int count = 0;
    std::strncpy(names[count % 8], name, 31);
    *kernel = reinterpret_cast<CUkernel>(names[count++ % 8]);
    return CUDA_SUCCESS;
}

CUresult cuKernelGetFunction(CUfunction* function, CUkernel kernel) {
    *function = reinterpret_cast<CUfunction>(kernel);
    return CUDA_SUCCESS;
}

CUresult cuLaunchKernel(CUfunction function, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned, unsigned,
                        unsigned shared, CUstream, void** arguments, void**) {
    auto const number = [&](int i) { return *static_cast<int*>(arguments[i]); };
    auto const address = [&](int i) { return *static_cast<char**>(arguments[i]); };
    std::printf("launch %s, grid %u %u %u of %u, shared %u, sizes %d %d %d %d %d %d, at %td %td %td\n",
                reinterpret_cast<char*>(function), x, y, z, threads, shared, number(3), number(4), number(5), number(6),
                number(7), number(8), address(1) - address(0), address(2) - address(0), address(9) - address(0));
    return CUDA_ERROR_LAUNCH_FAILED;
}
}
