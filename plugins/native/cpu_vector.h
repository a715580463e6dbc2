// Vectors of floats as wide as the instruction set that a file is compiled for, and how values are loaded into them.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__F16C__)
#include <immintrin.h>
#endif

namespace fdcn::cpu {
// Each variant of the kernel is compiled for another instruction set and must not share code with the others.
namespace {

// Lanes of a vector, and how many vectors of running totals the registers hold beside what is added to them.
#if defined(__AVX512F__)
constexpr int kLanes = 16, kTotals = 20;
#elif defined(__AVX2__)
constexpr int kLanes = 8, kTotals = 8;
#else
constexpr int kLanes = 4, kTotals = 8;
#endif

typedef float Vector __attribute__((vector_size(kLanes * sizeof(float))));

struct Half {
    uint16_t bits;
};

inline float to_float(float value) { return value; }

inline float to_float(Half value) {
#if defined(__F16C__)
    return _cvtsh_ss(value.bits);
#else
    // The exponent is moved and rebased by a multiplication, which makes subnormals right too.
    uint32_t const magnitude = (value.bits & 0x7fffu) << 13;
    float result;
    std::memcpy(&result, &magnitude, sizeof result);
    result *= 0x1p112f;
    uint32_t bits;
    std::memcpy(&bits, &result, sizeof bits);
    if ((value.bits & 0x7c00u) == 0x7c00u) bits |= 0x7f800000u;
    bits |= (value.bits & 0x8000u) << 16;
    std::memcpy(&result, &bits, sizeof result);
    return result;
#endif
}

inline void put(float* to, float value) { *to = value; }

inline void put(Half* to, float value) {
#if defined(__F16C__)
    to->bits = _cvtss_sh(value, _MM_FROUND_TO_NEAREST_INT);
#else
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    uint32_t const sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
    uint32_t half;
    if (magnitude > 0x7f800000u) {
        half = 0x7e00u;  // NaN
    } else if (magnitude >= 0x477ff000u) {
        half = 0x7c00u;  // rounds to infinity
    } else if (magnitude < 0x38800000u) {
        // Subnormal: adding 0.5 leaves the rounded multiple of 2^-24 in the last bits.
        float shifted;
        std::memcpy(&shifted, &magnitude, sizeof shifted);
        shifted += 0.5f;
        std::memcpy(&half, &shifted, sizeof half);
        half -= 0x3f000000u;
    } else {
        half = (magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
    }
    to->bits = static_cast<uint16_t>(sign | half);
#endif
}

inline Vector load(float const* from) {
    Vector result;
    std::memcpy(&result, from, sizeof result);
    return result;
}

// Writes the first `count` lanes, or all where there are more.
template <typename T>
inline void store_first(T* to, Vector value, int count) {
    if (sizeof(T) == sizeof(float) && count >= kLanes) {
        std::memcpy(to, &value, sizeof value);
    } else {
        for (int lane = 0; lane < kLanes && lane < count; ++lane) put(to + lane, value[lane]);
    }
}

}  // namespace
}  // namespace fdcn::cpu
