// The operator on a GPU, for nvcc and for NVIDIA's runtime compiler alike: nothing here needs the host.
//
// A block sums one group at a tile of neighbouring tokens, whose taps read much the same cells, so that most of the
// 4·K rows a token reads come from the multiprocessor's own cache. It has two phases. First its threads land the
// tile's taps, one each, in shared memory: four cells and four weights a tap. Then each thread sums the 16 bytes of
// channels that it stores at the end; a tap's numbers reach all channels of its group from shared memory.
//
// The launch: kThreads threads a block, no dynamic shared memory, and a grid of
//   (N · ceil(W / kTileColumns), ceil(H / kTileRows), G)
// blocks. spec.py says what the tensors hold, launch.h what sizes there may be.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "shape.h"
#include "tap.h"

namespace fdcn {

constexpr unsigned kTileColumns = 8, kTileRows = 4, kTile = kTileColumns * kTileRows;
// One tap each of a tile at K = 9, and 16 bytes each of its channels at C = 72 in half precision.
constexpr unsigned kThreads = 9 * kTile;
// Blocks that are to fit a multiprocessor together, and so how many registers a thread may have: 72.
constexpr int kResidentBlocks = 3;

namespace gpu {

constexpr int kVector = 16;  // bytes of the widest load

// A tile's taps: where each corner's values begin, counted from the image's first cell in whatever unit the loop that
// adds them has, and its weight. Corners go along the near row, then along the far one.
constexpr unsigned kOutside = ~0u;
struct Landed {
    uint4 cell[kThreads];
    float4 weight[kThreads];
};

// The parts of the tensors that a block works on: those of one group, in one image.
template <class T>
struct Tile {
    T const* values;
    T const* taps;
    float const* prior;
    T* out;
    float reach_x, reach_y;
    unsigned width, out_width;            // elements from one cell to the next
    unsigned columns, rows, column, row;  // of the image, and where the tile begins in it

    // The tile's tokens are counted along its rows.
    __device__ unsigned column_of(unsigned token) const { return column + token % kTileColumns; }
    __device__ unsigned row_of(unsigned token) const { return row + token / kTileColumns; }
    __device__ bool has(unsigned token) const { return column_of(token) < columns && row_of(token) < rows; }
    __device__ unsigned long long cell_of(unsigned token) const { return row_of(token) * columns + column_of(token); }
};

template <class T>
__device__ Tile<T> this_tile(T const* projection, float const* prior, float const* s_max, T* out, Shape const& shape) {
    unsigned const columns = static_cast<unsigned>(shape.columns), rows = static_cast<unsigned>(shape.rows);
    unsigned const across = (columns + kTileColumns - 1) / kTileColumns;
    unsigned const image = blockIdx.x / across, group = blockIdx.z;
    unsigned const values = static_cast<unsigned>(shape.values()), width = static_cast<unsigned>(shape.width());
    unsigned long long const cell = 1ULL * image * (columns * rows);
    projection += cell * width;
    Tile<T> tile;
    tile.values = projection + group * shape.channels;
    tile.taps = projection + values + group * shape.taps * kTapFields;
    tile.prior = prior;
    tile.out = out + cell * values + group * shape.channels;
    tile.reach_x = __ldg(s_max + 2 * image);
    tile.reach_y = __ldg(s_max + 2 * image + 1);
    tile.width = width;
    tile.out_width = values;
    tile.columns = columns;
    tile.rows = rows;
    tile.column = (blockIdx.x - image * across) * kTileColumns;
    tile.row = blockIdx.y * kTileRows;
    return tile;
}

// `bytes` of values as they lie in memory.
template <int bytes>
struct Words {
    static constexpr int kCount = bytes < 4 ? 1 : bytes / 4;
    unsigned word[kCount];
};

template <int bytes>
__device__ Words<bytes> load(void const* from) {
    if constexpr (bytes == 16) {
        uint4 const w = __ldg(static_cast<uint4 const*>(from));
        return {w.x, w.y, w.z, w.w};
    } else if constexpr (bytes == 8) {
        uint2 const w = __ldg(static_cast<uint2 const*>(from));
        return {w.x, w.y};
    } else if constexpr (bytes == 4) {
        return {__ldg(static_cast<unsigned const*>(from))};
    } else {
        return {__ldg(static_cast<unsigned short const*>(from))};
    }
}

template <int bytes>
__device__ void store(void* to, Words<bytes> const& from) {
    if constexpr (bytes == 16)
#ifdef __CUDA_ARCH__
        // An assignment becomes four stores in some places.
        asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(to), "r"(from.word[0]), "r"(from.word[1]),
                     "r"(from.word[2]), "r"(from.word[3])
                     : "memory");
#else
        *static_cast<uint4*>(to) = {from.word[0], from.word[1], from.word[2], from.word[3]};
#endif
    else if constexpr (bytes == 4)
        *static_cast<unsigned*>(to) = from.word[0];
    else
        *static_cast<unsigned short*>(to) = static_cast<unsigned short>(from.word[0]);
}

// A word's values in float32: one, or two with that of the lower address first.
template <class T>
struct Format;

template <>
struct Format<float> {
    static constexpr int kPerWord = 1;
    __device__ static float2 unpack(unsigned word) { return {__uint_as_float(word), 0.0f}; }
    __device__ static unsigned pack(float v, float) { return __float_as_uint(v); }
};

template <>
struct Format<__half> {
    static constexpr int kPerWord = 2;
    __device__ static float2 unpack(unsigned word) {
        return __half22float2(*reinterpret_cast<__half2 const*>(&word));
    }
    __device__ static unsigned pack(float low, float high) {
        __half2 const both = __floats2half2_rn(low, high);
        return *reinterpret_cast<unsigned const*>(&both);
    }
};

template <>
struct Format<__nv_bfloat16> {
    static constexpr int kPerWord = 2;
    __device__ static float2 unpack(unsigned word) {
        return {__uint_as_float(word << 16), __uint_as_float(word & 0xffff0000u)};
    }
    __device__ static unsigned pack(float low, float high) {
        __nv_bfloat162 const both = __floats2bfloat162_rn(low, high);
        return *reinterpret_cast<unsigned const*>(&both);
    }
};

// `count` values from memory, as words.
template <class T, int count>
struct Values {
    using F = Format<T>;
    static constexpr int kBytes = count * sizeof(T);
    Words<kBytes> words;

    __device__ float operator[](int i) const {
        float2 const pair = F::unpack(words.word[i / F::kPerWord]);
        return i % F::kPerWord ? pair.y : pair.x;
    }
};

template <class T, int count>
__device__ Values<T, count> read(void const* from) {
    return {load<count * int{sizeof(T)}>(from)};
}

template <class T, int count>
__device__ void write(T* to, float const (&from)[count]) {
    using F = Format<T>;
    Words<count * int{sizeof(T)}> words;
    for (int i = 0; i < words.kCount; ++i)
        words.word[i] = F::pack(from[i * F::kPerWord], from[count == 1 ? 0 : (i + 1) * F::kPerWord - 1]);
    store(to, words);
}

// (dx, dy, s, a), in one load where their address is known or found to allow it.
template <bool aligned, class T>
__device__ float4 read_tap(T const* from) {
    constexpr int kBytes = kTapFields * sizeof(T);
    if (aligned || reinterpret_cast<unsigned long long>(from) % kBytes == 0) {
        Values<T, kTapFields> const tap = read<T, kTapFields>(from);
        return {tap[0], tap[1], tap[2], tap[3]};
    }
    return {read<T, 1>(from)[0], read<T, 1>(from + 1)[0], read<T, 1>(from + 2)[0], read<T, 1>(from + 3)[0]};
}

// Land tap k of one of the tile's tokens as number i; from a cell to the next are `step` units.
template <bool aligned, class T>
__device__ void land_tap(Tile<T> const& tile, unsigned token, unsigned k, unsigned step, Landed& landed, unsigned i) {
    float const prior_x = __ldg(tile.prior + 2 * k), prior_y = __ldg(tile.prior + 2 * k + 1);
    float4 const tap = read_tap<aligned>(tile.taps + tile.cell_of(token) * tile.width + k * kTapFields);
    int const columns = static_cast<int>(tile.columns), rows = static_cast<int>(tile.rows);
    float const scale = sigmoid(tap.z);
    float const x = position(static_cast<int>(tile.column_of(token)), tap.x, prior_x, scale * tile.reach_x);
    float const y = position(static_cast<int>(tile.row_of(token)), tap.y, prior_y, scale * tile.reach_y);
    Landing const at = land(x, y, columns, rows);
    bool const left = at.counts && inside(at.column, columns), right = at.counts && inside(at.column + 1, columns);
    bool const near = inside(at.row, rows), far = inside(at.row + 1, rows);
    // Unsigned: what wraps around is outside, and so is not taken.
    unsigned const cell = static_cast<unsigned>(at.row * columns + at.column) * step, below = tile.columns * step;
    landed.cell[i] = {near && left ? cell : kOutside, near && right ? cell + step : kOutside,
                      far && left ? cell + below : kOutside, far && right ? cell + below + step : kOutside};
    // A weight may be infinite or NaN, so that of a corner outside is chosen, too.
    float const near_weight = tap.w * (1.0f - at.below), far_weight = tap.w * at.below;
    landed.weight[i] = {near && left ? near_weight * (1.0f - at.right) : 0.0f,
                        near && right ? near_weight * at.right : 0.0f,
                        far && left ? far_weight * (1.0f - at.right) : 0.0f,
                        far && right ? far_weight * at.right : 0.0f};
}

// A corner's values, zeros where it is outside: chosen, so that no value of the image is multiplied away.
template <class T, int count>
__device__ Values<T, count> fetch(char const* image, unsigned cell, unsigned unit) {
    Values<T, count> values = {};
    if (cell != kOutside) values = read<T, count>(image + 1ULL * cell * unit);
    return values;
}

template <class T, int count>
__device__ void add(float (&total)[count], Values<T, count> const& values, float weight) {
    for (int i = 0; i < count; ++i) total[i] = fmaf(weight, values[i], total[i]);
}

// Add the `taps` landed from number `first` on, `together` of them at once; a unit of theirs has `unit` bytes.
template <int together, class T, int count>
__device__ __forceinline__ void add_taps(float (&total)[count], T const* values, unsigned unit, Landed const& landed,
                                         unsigned first, unsigned taps) {
    char const* image = reinterpret_cast<char const*>(values);
#ifdef __CUDA_ARCH__
    // Without this the compiler takes the sum in this address apart and does half of it again for every corner.
    asm("" : "+l"(image));
#endif
#pragma unroll together
    for (unsigned i = 0; i < taps; ++i) {
        uint4 const cell = landed.cell[first + i];
        float4 const weight = landed.weight[first + i];
        Values<T, count> const near_left = fetch<T, count>(image, cell.x, unit);
        Values<T, count> const near_right = fetch<T, count>(image, cell.y, unit);
        Values<T, count> const far_left = fetch<T, count>(image, cell.z, unit);
        Values<T, count> const far_right = fetch<T, count>(image, cell.w, unit);
        add(total, near_left, weight.x);
        add(total, near_right, weight.y);
        add(total, far_left, weight.z);
        add(total, far_right, weight.w);
    }
}

// A tile of the models that FlowDCN published: all but the image is known, and all is aligned.
template <unsigned channels, class T>
__device__ void sum_tile(Tile<T> const& tile, Landed& landed) {
    constexpr unsigned kTaps = kThreads / kTile, kCount = kVector / sizeof(T), kVectors = channels / kCount;
    unsigned const thread = threadIdx.x;
    if (unsigned const token = thread / kTaps; tile.has(token))
        land_tap<true>(tile, token, thread % kTaps, tile.width * unsigned{sizeof(T)} / kVector, landed, thread);
    __syncthreads();
#pragma unroll 1
    for (unsigned item = thread; item < kTile * kVectors; item += kThreads) {
        unsigned const token = item / kVectors, channel = item % kVectors * kCount;
        if (!tile.has(token)) continue;
        float total[kCount] = {};
        add_taps<3>(total, tile.values + channel, kVector, landed, token * kTaps, kTaps);
        write(tile.out + tile.cell_of(token) * tile.out_width + channel, total);
    }
}

// Any tile, with `count` channels a thread.
template <unsigned count, class T>
__device__ void sum_any_tile(Tile<T> const& tile, Landed& landed, unsigned channels, unsigned taps) {
    unsigned const vectors = channels / count, unit = tile.width * unsigned{sizeof(T)};
    // So many tokens' taps are landed at a time; where there is no room for a single token's, they are in pieces.
    unsigned const piece = min(taps, kThreads), tokens = min(kThreads / piece, kTile);
    for (unsigned first = 0; first < kTile; first += tokens) {
        unsigned const end = min(first + tokens, kTile);
        for (unsigned start = 0; start < tokens * vectors; start += kThreads) {
            unsigned const item = start + threadIdx.x, token = first + item / vectors, channel = item % vectors * count;
            bool const works = token < end && tile.has(token);
            float total[count] = {};
            for (unsigned k = 0; k < taps; k += piece) {
                unsigned const some = min(piece, taps - k);
                if (start == 0 || piece < taps) {
                    for (unsigned i = threadIdx.x; i < (end - first) * some; i += kThreads)
                        if (unsigned const to = first + i / some; tile.has(to))
                            land_tap<false>(tile, to, k + i % some, 1, landed, i);
                    __syncthreads();
                }
                if (works) add_taps<2>(total, tile.values + channel, unit, landed, (token - first) * some, some);
                __syncthreads();  // before other taps are landed
            }
            if (works) write(tile.out + tile.cell_of(token) * tile.out_width + channel, total);
        }
    }
}

}  // namespace gpu

// What a block does; the kernel below is only this. Other kernels, with parameters of other types, may call it.
template <class T>
__device__ void multi_scale_dcn_block(T const* projection, float const* prior, float const* s_max, T* out,
                                      Shape const& shape) {
    __shared__ gpu::Landed landed;
    gpu::Tile<T> const tile = gpu::this_tile(projection, prior, s_max, out, shape);
    // The addresses of a group's values and results are multiples of whatever divides this.
    unsigned const alignment = static_cast<unsigned>(reinterpret_cast<unsigned long long>(projection)) |
                               static_cast<unsigned>(reinterpret_cast<unsigned long long>(out)) |
                               tile.width * unsigned{sizeof(T)} | shape.channels * unsigned{sizeof(T)};
    bool const wide = alignment % gpu::kVector == 0;
    // Whether 32 bits can count an image's vectors.
    bool const small = 1ULL * (tile.columns * tile.rows) * tile.width < gpu::kOutside;
    constexpr int kMost = gpu::kVector / sizeof(T), kFew = 4 / sizeof(T);
    if (wide && small && shape.taps == 9 && shape.channels == 72)
        gpu::sum_tile<72>(tile, landed);
    else if (wide && small && shape.taps == 9 && shape.channels == 64)
        gpu::sum_tile<64>(tile, landed);
    else if (wide)
        gpu::sum_any_tile<kMost>(tile, landed, shape.channels, shape.taps);
    else if (alignment % 4 == 0)
        gpu::sum_any_tile<kFew>(tile, landed, shape.channels, shape.taps);
    else
        gpu::sum_any_tile<1>(tile, landed, shape.channels, shape.taps);
}

template <class T>
__global__ void __launch_bounds__(kThreads, kResidentBlocks)
    multi_scale_dcn_kernel(T const* projection, float const* prior, float const* s_max, T* out, Shape shape) {
    multi_scale_dcn_block(projection, prior, s_max, out, shape);
}

}  // namespace fdcn
