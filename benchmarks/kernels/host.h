// MultiScaleDCN on a CPU, straight from tap.h and one channel at a time: what kernels are checked against.
#pragma once

#include "shape.h"
#include "tap.h"

namespace fdcn {

// The values of one channel of one token; `image` is the channel in the image's first cell.
inline double sum_taps(Shape const& shape, float const* image, float const* tap, float const* prior, float const* s_max,
                       int column, int row) {
    int const columns = static_cast<int>(shape.columns), rows = static_cast<int>(shape.rows);
    double total = 0;
    for (int k = 0; k < shape.taps; ++k, tap += kTapFields, prior += 2) {
        float const scale = sigmoid(tap[2]);
        Landing const at = land(position(column, tap[0], prior[0], scale * s_max[0]),
                                position(row, tap[1], prior[1], scale * s_max[1]), columns, rows);
        if (!at.counts) continue;
        for (int below = 0; below < 2; ++below) {
            for (int right = 0; right < 2; ++right) {
                if (!inside(at.column + right, columns) || !inside(at.row + below, rows)) continue;
                double const x = right ? at.right : 1.0 - at.right, y = below ? at.below : 1.0 - at.below;
                long long const cell = 1LL * (at.row + below) * columns + at.column + right;
                total += tap[3] * x * y * image[cell * shape.width()];
            }
        }
    }
    return total;
}

// The whole operator in float32, with double precision between; spec.py has the layouts.
inline void multi_scale_dcn_host(Shape const& shape, float const* projection, float const* prior, float const* s_max,
                                 float* out) {
    for (long long image = 0; image < shape.images; ++image) {
        float const* const first = projection + image * shape.tokens() * shape.width();
        for (long long cell = 0; cell < shape.tokens(); ++cell) {
            float const* const taps = first + cell * shape.width() + shape.values();
            int const column = static_cast<int>(cell % shape.columns), row = static_cast<int>(cell / shape.columns);
            for (long long value = 0; value < shape.values(); ++value) {
                float const* const tap = taps + value / shape.channels * shape.taps * kTapFields;
                double const total = sum_taps(shape, first + value, tap, prior, s_max + 2 * image, column, row);
                *out++ = static_cast<float>(total);
            }
        }
    }
}

}  // namespace fdcn
