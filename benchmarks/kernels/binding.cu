// launch.h as plain C, for a program that loads the launcher from a shared library.
#include "launch.h"

extern "C" int fdcn_multi_scale_dcn(int type, long long images, long long rows, long long columns, int groups,
                                    int channels, int taps, void const* projection, void const* prior,
                                    void const* s_max, void* out, void* stream) {
    fdcn::Shape const shape{images, rows, columns, groups, channels, taps};
    return fdcn::multi_scale_dcn(static_cast<fdcn::Type>(type), shape, projection, static_cast<float const*>(prior),
                                 static_cast<float const*>(s_max), out, static_cast<cudaStream_t>(stream));
}
