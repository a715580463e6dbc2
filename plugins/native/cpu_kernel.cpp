// The operator for one instruction set. CMake compiles this file once for each, with its name in FDCN_VARIANT.
//
// A tap's coordinates are computed once for all channels of its group, many taps at a time. What is left is a sum of
// 4·K rows of channels, each with a weight, in registers. Corners outside the grid read a row of zeros and weigh 0: a
// selection without branches, in which nothing of the grid is multiplied.
#include "cpu_kernel.h"

#include <algorithm>
#include <memory>

#include "cpu_vector.h"
#include "tap.h"

namespace fdcn::cpu {
namespace {

constexpr int kCorners = 4;
constexpr int kChunk = 160;  // about as many taps are placed together

// exp in float32 to 2 ulp, without a call, so that compilers vectorise loops over it. Below -87 it stays at 1e-38
// and above 88 at 2e38; NaN comes through.
inline float exponential(float x) {
    constexpr float kRound = 0x1.8p23f, kLog2e = 1.44269504f, kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
    x = x < -87.0f ? -87.0f : x;
    x = x > 88.0f ? 88.0f : x;
    float const shifted = x * kLog2e + kRound;
    float const whole = shifted - kRound;
    float const r = x - whole * kLn2High - whole * kLn2Low;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    // Not memcpy: through it, GCC 12 does not vectorise.
    return p * __builtin_bit_cast(float, (__builtin_bit_cast(uint32_t, shifted) + 127u) << 23);
}

template <typename T>
std::unique_ptr<T[]> uninitialised(size_t count) {
    return std::unique_ptr<T[]>(new T[count]);
}

// The taps of neighbouring tokens of one row in one group, and where they land. Each number of all taps is one array.
class Chunk {
 public:
    int const tokens, taps;
    size_t const count;  // taps of all tokens

    explicit Chunk(Shape const& shape, float const* prior)
        : tokens(static_cast<int>(std::min<long long>(std::max(1, kChunk / shape.taps), shape.columns))),
          taps(shape.taps),
          count(static_cast<size_t>(tokens) * taps),
          field_(uninitialised<float>(kTapFields * count)),
          prior_(uninitialised<float>(2 * count)),
          column_(uninitialised<int>(count)),
          row_(uninitialised<int>(kCorners * count)),
          weight_(uninitialised<float>(kCorners * count)) {
        for (size_t i = 0; i < count; ++i) {
            prior_[i] = prior[i % taps * 2];
            prior_[count + i] = prior[i % taps * 2 + 1];
            column_[i] = static_cast<int>(i / taps);
        }
    }

    // Row of the plane that a corner reads, and its weight: [kCorners][count].
    int const* row() const { return row_.get(); }
    float const* weight() const { return weight_.get(); }

    template <typename T>
    void read(T const* tap, long long stride) {
        for (int token = 0; token < tokens; ++token, tap += stride)
            for (int k = 0; k < taps; ++k)
                for (int f = 0; f < kTapFields; ++f)
                    field_[f * count + token * taps + k] = to_float(tap[k * kTapFields + f]);
    }

    void place(int first_column, int row, float const* s_max, int columns, int rows);

 private:
    std::unique_ptr<float[]> field_, prior_;
    std::unique_ptr<int[]> column_, row_;
    std::unique_ptr<float[]> weight_;
};

void Chunk::place(int first_column, int row, float const* s_max, int columns, int rows) {
    size_t const n = count;
    float const *const dx = field_.get(), *const dy = dx + n, *const logit = dy + n, *const a = logit + n;
    float const *const prior_x = prior_.get(), *const prior_y = prior_x + n;
    int const* const column = column_.get();
    int* const to_row = row_.get();
    float* const to_weight = weight_.get();
#pragma omp simd
    for (size_t i = 0; i < n; ++i) {
        float const sigmoid = 1.0f / (1.0f + exponential(-logit[i]));
        float const x = position(first_column + column[i], dx[i], prior_x[i], sigmoid * s_max[0]);
        float const y = position(row, dy[i], prior_y[i], sigmoid * s_max[1]);
        Landing const at = land(x, y, columns, rows);
        // Four calls and not a loop: GCC vectorises no loop around another.
        auto const corner = [&](size_t to, int right, int below) {
            bool const in = at.counts && inside(at.column + right, columns) && inside(at.row + below, rows);
            float const w = a[i] * (right ? at.right : 1.0f - at.right) * (below ? at.below : 1.0f - at.below);
            to_row[to * n + i] = in ? (at.row + below) * columns + at.column + right : rows * columns;
            to_weight[to * n + i] = in ? w : 0.0f;
        };
        corner(0, 0, 0);
        corner(1, 1, 0);
        corner(2, 0, 1);
        corner(3, 1, 1);
    }
}

// `vectors` vectors of channels of one token; `row` and `weight` are of its first corner's taps.
template <int vectors, typename T>
inline void sum_block(Chunk const& chunk, float const* plane, size_t padded, int const* row, float const* weight,
                      T* out, int channels) {
    // A total a corner: additions to a single one would wait for each other.
    Vector total[kCorners][vectors] = {};
    for (int k = 0; k < chunk.taps; ++k) {
        for (int corner = 0; corner < kCorners; ++corner) {
            float const* const value = plane + row[corner * chunk.count + k] * padded;
            float const w = weight[corner * chunk.count + k];
            for (int v = 0; v < vectors; ++v) total[corner][v] += w * load(value + v * kLanes);
        }
    }
    for (int v = 0; v < vectors; ++v)
        store_first(out + v * kLanes, total[0][v] + total[1][v] + (total[2][v] + total[3][v]), channels - v * kLanes);
}

// All channels of a chunk's tokens, in blocks of as many vectors as the registers hold totals for.
template <int vectors, typename T>
void sum_chunk(Chunk const& chunk, float const* plane, size_t padded, T* out, long long stride, int channels) {
    int channel = 0;
    for (; channel + (vectors - 1) * kLanes < channels; channel += vectors * kLanes)
        for (int t = 0; t < chunk.tokens; ++t)
            sum_block<vectors>(chunk, plane + channel, padded, chunk.row() + t * chunk.taps,
                               chunk.weight() + t * chunk.taps, out + t * stride + channel, channels - channel);
    if constexpr (vectors > 1)
        if (channel < channels)
            sum_chunk<vectors - 1>(chunk, plane + channel, padded, out + channel, stride, channels - channel);
}

template <typename T>
void pack(Call const& call, long long unit) {
    Shape const& s = call.shape;
    long long const image = unit / s.rows, row = unit % s.rows, padded = call.padded();
    T const* from = static_cast<T const*>(call.projection) + unit * s.columns * s.width();
    for (int group = 0; group < s.groups; ++group, from += s.channels) {
        float* const plane = call.workspace + (image * s.groups + group) * call.plane();
        for (long long column = 0; column < s.columns; ++column) {
            float* const to = plane + (row * s.columns + column) * padded;
            for (int c = 0; c < s.channels; ++c) to[c] = to_float(from[column * s.width() + c]);
            std::fill(to + s.channels, to + padded, 0.0f);
        }
        if (row == 0) std::fill_n(plane + s.tokens() * padded, padded, 0.0f);
    }
}

template <typename T>
void sum(Call const& call, long long unit) {
    Shape const& s = call.shape;
    long long const image = unit / s.rows;
    int const row = static_cast<int>(unit % s.rows), rows = static_cast<int>(s.rows);
    int const columns = static_cast<int>(s.columns);
    T const* const tokens = static_cast<T const*>(call.projection) + unit * columns * s.width() + s.values();
    T* const out = static_cast<T*>(call.out) + unit * columns * s.values();
    Chunk chunk(s, call.prior);
    for (int group = 0; group < s.groups; ++group) {
        float const* const plane = call.workspace + (image * s.groups + group) * call.plane();
        for (int column = 0; column < columns; column += chunk.tokens) {
            // The last chunk repeats tokens of the one before, so that all have one size.
            int const first = std::min(column, columns - chunk.tokens);
            chunk.read(tokens + first * s.width() + group * s.taps * kTapFields, s.width());
            chunk.place(first, row, call.s_max + image * 2, columns, rows);
            sum_chunk<kTotals / kCorners>(chunk, plane, static_cast<size_t>(call.padded()),
                                          out + first * s.values() + group * s.channels, s.values(), s.channels);
        }
    }
}

}  // namespace

namespace FDCN_VARIANT {

Kernel variant(Type type);
Kernel variant(Type type) {
    return type == Type::kFloat16 ? Kernel{pack<Half>, sum<Half>} : Kernel{pack<float>, sum<float>};
}

}  // namespace FDCN_VARIANT

}  // namespace fdcn::cpu
