// Picks the variant of cpu_kernel.cpp that the processor at hand can run.
#include "cpu_kernel.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace fdcn::cpu {

#if defined(__x86_64__)

namespace x86_64 { Kernel variant(Type); }
namespace x86_64_v3 { Kernel variant(Type); }
namespace x86_64_v4 { Kernel variant(Type); }

// Not every compiler's __builtin_cpu_supports knows this one.
static bool has_f16c() noexcept {
    unsigned eax, ebx, ecx = 0, edx;
    return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_F16C);
}

Kernel kernel(Type type) noexcept {
    static bool const v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
    static bool const v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    return v4 ? x86_64_v4::variant(type) : v3 ? x86_64_v3::variant(type) : x86_64::variant(type);
}

#else

namespace generic { Kernel variant(Type); }

Kernel kernel(Type type) noexcept { return generic::variant(type); }

#endif

}  // namespace fdcn::cpu
