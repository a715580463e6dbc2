"""The contract as a C++ header, for every native implementation: `python -m fdcn.plugins.contract > contract.h`."""

from fdcn.plugins import spec


def header() -> str:
    """Text of `contract.h`: the names and numbers of `spec`, for a C++ and for a CUDA compiler.

    It includes nothing, so that NVIDIA's runtime compiler takes it too.
    """
    groups, taps = spec.ATTRIBUTES
    return f"""\
// Generated from plugins/spec.py by plugins/contract.py.
#pragma once

#ifdef __CUDACC__
#define FDCN_BOTH __host__ __device__
#else
#define FDCN_BOTH
#endif

namespace fdcn {{

constexpr char kDomain[] = "{spec.DOMAIN}";
constexpr char kName[] = "{spec.NAME}";
constexpr int kVersion = {spec.VERSION};
constexpr char kVersionText[] = "{spec.VERSION}";
constexpr char kGroups[] = "{groups}";
constexpr char kTaps[] = "{taps}";
constexpr int kTapFields = {len(spec.TAP_FIELDS)};
constexpr int kLowerBound = {spec.LOWER_BOUND};

}}  // namespace fdcn
"""


if __name__ == "__main__":
    print(header(), end="")
