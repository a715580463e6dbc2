// __half as kernels use it, on a CPU; see cuda_runtime.h.
#pragma once

#include "cuda_runtime.h"

struct __half {
    unsigned short bits;
};
struct alignas(4) __half2 {
    __half x, y;
};

inline float __half2float(__half v) { return static_cast<float>(__builtin_bit_cast(_Float16, v.bits)); }
inline __half __float2half_rn(float v) { return {__builtin_bit_cast(unsigned short, static_cast<_Float16>(v))}; }
inline float2 __half22float2(__half2 v) { return {__half2float(v.x), __half2float(v.y)}; }
inline __half2 __floats2half2_rn(float x, float y) { return {__float2half_rn(x), __float2half_rn(y)}; }
