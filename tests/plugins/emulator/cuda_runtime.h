// CUDA on a CPU, so that kernels can be checked where there is no GPU: compiled by the host's compiler, with these
// headers in the place of NVIDIA's, a kernel runs thread by thread.
//
// Each thread of a block is a coroutine that runs to the next barrier, in ascending or descending order: where a
// barrier is missing, one of the two orders finds it. Reads through __ldg are checked against what the caller declared
// readable, and for alignment; a launch in which one fails gives the error that a GPU would give.
#pragma once

#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "cuda_runtime_api.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
// One block runs at a time, so what a block shares can be static. It keeps what the block before left there.
#define __shared__ static

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
struct float2 {
    float x, y;
};
struct alignas(8) uint2 {
    unsigned x, y;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
struct alignas(16) int4 {
    int x, y, z, w;
};
struct alignas(16) float4 {
    float x, y, z, w;
};

namespace emulator {

constexpr size_t kStack = 256 << 10;

struct Range {
    uintptr_t begin, end;
};
inline std::vector<Range> readable;
inline bool descending = false;
inline cudaError_t status = cudaSuccess;

struct Thread {
    ucontext_t context;
    bool finished;
};
inline ucontext_t scheduler;
inline Thread* current;
inline void (*body)(void*);
inline void* parameters;

inline void start() {
    body(parameters);
    current->finished = true;
    swapcontext(&current->context, &scheduler);
}

template <class T>
bool may_read(T const* from) {
    uintptr_t const begin = reinterpret_cast<uintptr_t>(from);
    if (begin % alignof(T) != 0) status = cudaErrorMisalignedAddress;
    for (Range const& range : readable)
        if (range.begin <= begin && begin + sizeof(T) <= range.end) return begin % alignof(T) == 0;
    status = cudaErrorIllegalAddress;
    return false;
}

}  // namespace emulator

inline dim3 threadIdx, blockIdx, blockDim, gridDim;

inline void __syncthreads() { swapcontext(&emulator::current->context, &emulator::scheduler); }

template <class T>
T __ldg(T const* from) {
    return emulator::may_read(from) ? *from : T{};
}

template <class T>
T __ldcg(T const* from) {
    return __ldg(from);
}

inline unsigned __float_as_uint(float v) { return __builtin_bit_cast(unsigned, v); }
inline float __uint_as_float(unsigned v) { return __builtin_bit_cast(float, v); }
inline unsigned min(unsigned a, unsigned b) { return a < b ? a : b; }
inline unsigned max(unsigned a, unsigned b) { return a > b ? a : b; }
inline int min(int a, int b) { return a < b ? a : b; }

namespace emulator {

// All threads of a block up to their next barrier, again and again. All have to reach it, or none.
inline cudaError_t run_block(std::vector<Thread>& threads, char* stacks) {
    for (size_t i = 0; i < threads.size(); ++i) {
        getcontext(&threads[i].context);
        threads[i].context.uc_stack = {stacks + i * kStack, 0, kStack};
        threads[i].finished = false;
        makecontext(&threads[i].context, start, 0);
    }
    for (size_t finished = 0; finished < threads.size();) {
        finished = 0;
        for (size_t step = 0; step < threads.size(); ++step) {
            size_t const i = descending ? threads.size() - 1 - step : step;
            current = &threads[i];
            threadIdx = dim3(i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y);
            swapcontext(&scheduler, &current->context);
            finished += current->finished;
        }
        if (finished != 0 && finished != threads.size()) return cudaErrorLaunchFailure;
    }
    return status;
}

template <class... Parameters, size_t... index>
void call(void (*kernel)(Parameters...), void** arguments, std::index_sequence<index...>) {
    kernel(*static_cast<std::remove_reference_t<Parameters>*>(arguments[index])...);
}

}  // namespace emulator

template <class... Parameters>
cudaError_t cudaLaunchKernel(void (*kernel)(Parameters...), dim3 grid, dim3 block, void** arguments, size_t,
                             cudaStream_t) {
    if (grid.x - 1 >= 0x7fffffffu || grid.y - 1 >= 65535u || grid.z - 1 >= 65535u) return cudaErrorInvalidConfiguration;
    if (block.x * block.y * block.z - 1 >= 1024u) return cudaErrorInvalidConfiguration;
    auto everything = std::make_pair(kernel, arguments);
    emulator::parameters = &everything;
    emulator::body = [](void* given) {
        auto const& [kernel, arguments] = *static_cast<decltype(everything)*>(given);
        emulator::call(kernel, arguments, std::index_sequence_for<Parameters...>());
    };
    emulator::status = cudaSuccess;
    std::vector<emulator::Thread> threads(block.x * block.y * block.z);
    std::unique_ptr<char[]> const stacks(new char[threads.size() * emulator::kStack]);
    gridDim = grid;
    blockDim = block;
    unsigned long long const blocks = 1ULL * grid.x * grid.y * grid.z;
    for (unsigned long long step = 0; step < blocks; ++step) {
        unsigned long long const b = emulator::descending ? blocks - 1 - step : step;
        blockIdx = dim3(b % grid.x, b / grid.x % grid.y, b / grid.x / grid.y);
        if (cudaError_t const status = emulator::run_block(threads, stacks.get())) return status;
    }
    return cudaSuccess;
}

template <class Kernel>
cudaError_t cudaFuncSetAttribute(Kernel, cudaFuncAttribute, int) {
    return cudaSuccess;
}

// Device memory is the host's, filled with what nobody expects, and declared readable.
template <class T>
cudaError_t cudaMalloc(T** to, size_t bytes) {
    *to = static_cast<T*>(std::aligned_alloc(256, (bytes + 255) / 256 * 256));
    std::memset(static_cast<void*>(*to), 0xff, bytes);
    uintptr_t const begin = reinterpret_cast<uintptr_t>(*to);
    emulator::readable.push_back({begin, begin + bytes});
    return cudaSuccess;
}

inline cudaError_t cudaFree(void* memory) {
    auto const begin = reinterpret_cast<uintptr_t>(memory);
    auto const is_it = [begin](emulator::Range const& range) { return range.begin == begin; };
    auto& all = emulator::readable;
    all.erase(std::remove_if(all.begin(), all.end(), is_it), all.end());
    std::free(memory);
    return cudaSuccess;
}

inline cudaError_t cudaMemcpy(void* to, void const* from, size_t bytes, cudaMemcpyKind) {
    std::memcpy(to, from, bytes);
    return cudaSuccess;
}

inline cudaError_t cudaMemset(void* to, int byte, size_t bytes) {
    std::memset(to, byte, bytes);
    return cudaSuccess;
}

inline cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }

inline char const* cudaGetErrorString(cudaError_t status) {
    switch (status) {
        case cudaErrorIllegalAddress: return "read of memory that is not the kernel's";
        case cudaErrorMisalignedAddress: return "misaligned read";
        case cudaErrorLaunchFailure: return "a barrier that not all threads reach";
        default: return "invalid";
    }
}
