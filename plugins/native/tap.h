// One tap's arithmetic, for the host and the device alike: where it lands and what its four corners weigh.
#pragma once

#include "contract.h"

#ifndef __CUDACC_RTC__
#include <cmath>
#endif

namespace fdcn {

// The corners of a tap that counts: (column, row) and its neighbours one to the right and one below.
struct Landing {
    int column, row;
    float right, below;  // weights of the far corners on each axis; the near ones' are 1 minus these
    bool counts;         // a tap that does not count contributes exactly 0, whatever the grid holds
};

FDCN_BOTH inline float sigmoid(float logit) {
#ifdef __CUDA_ARCH__
    return __fdividef(1.0f, 1.0f + __expf(-logit));
#else
    return 1.0f / (1.0f + std::exp(-logit));
#endif
}

// A position along one axis. NaN and infinities come through and are refused by `counts`.
FDCN_BOTH inline float position(int cell, float direction, float prior, float reach) {
    return static_cast<float>(cell) + (direction + prior) * reach;
}

// Whether a coordinate may be converted to a cell: kLowerBound < p < size, which NaN is not.
FDCN_BOTH inline bool counts(float p, int size) {
    return p > static_cast<float>(kLowerBound) && p < static_cast<float>(size);
}

// Land a tap at float32 position (x, y) on a grid of columns × rows.
FDCN_BOTH inline Landing land(float x, float y, int columns, int rows) {
    Landing at;
    at.counts = counts(x, columns) && counts(y, rows);
    // The conversion rounds toward zero, not down: positions in (-2, 0) extrapolate from cells (-1, 0) and (0, 1).
    at.column = at.counts ? static_cast<int>(x) : 0;
    at.row = at.counts ? static_cast<int>(y) : 0;
    at.right = x - static_cast<float>(at.column);
    at.below = y - static_cast<float>(at.row);
    return at;
}

// Whether a corner lies on an axis of `size` cells; one that does not contributes 0, by selection.
FDCN_BOTH inline bool inside(int cell, int size) {
    return static_cast<unsigned>(cell) < static_cast<unsigned>(size);
}

}  // namespace fdcn
