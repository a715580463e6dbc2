// The operator's sizes, as every native implementation takes them. Layouts are in plugins/spec.py.
#pragma once

#include "contract.h"

namespace fdcn {

// All integers are spelled with built-in types, so that the runtime compiler, which has no <cstdint>, takes the file.
struct Shape {
    long long images, rows, columns;  // N, H, W
    int groups, channels, taps;       // G, C, K

    FDCN_BOTH long long values() const { return 1LL * groups * channels; }
    FDCN_BOTH long long width() const { return groups * (channels + 1LL * taps * kTapFields); }
    FDCN_BOTH long long tokens() const { return rows * columns; }
    FDCN_BOTH bool empty() const { return images <= 0 || rows <= 0 || columns <= 0; }
    // A column and a row are counted in int and are exact in float32 below 2^24.
    FDCN_BOTH bool valid() const {
        return groups > 0 && channels > 0 && taps > 0 && rows < (1LL << 24) && columns < (1LL << 24);
    }
};

}  // namespace fdcn
