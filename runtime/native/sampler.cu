// The sampler outside the network, on a GPU. Guidance, seeds and coefficients are read from the device's memory, so that
// a CUDA graph of these kernels serves any of them. Images lie behind one another, each float32 of `elements`.
#include "advance.h"
#include "pixels.h"

using fdcn::Quad;

__device__ inline long long first_index() { return 1ll * blockIdx.x * blockDim.x + threadIdx.x; }
__device__ inline long long stride() { return 1ll * gridDim.x * blockDim.x; }

// Where a trajectory starts: see advance.h.
extern "C" __global__ void fdcn_begin(float const* noise, unsigned long long const* seeds, float* base, float* point,
                                      float* input, long long images, long long elements, int passes) {
    fdcn::Begin const begin{noise, seeds, base, point, input, images, elements, passes};
    bool const vectors = begin.vectors();
    for (long long i = first_index(); i < images * Quad::in(elements); i += stride()) begin(Quad(i, elements, vectors));
}

// One row of a plan: see advance.h. `row` has its numbers, `outputs` m tensors.
extern "C" __global__ void fdcn_advance(float const* row, float const* velocity, unsigned long long const* seeds,
                                        float* base, float* point, float* outputs, float* input, float* predicted,
                                        long long images, long long elements, long long guided, int m, int newest,
                                        int step, int passes, int next_passes) {
    fdcn::Advance const advance{{row, m}, velocity, seeds,  base,   point, outputs, input,      predicted,
                                images,   elements, guided, newest, step,  passes,  next_passes};
    bool const vectors = advance.vectors();
    for (long long i = first_index(); i < images * Quad::in(elements); i += stride())
        advance(Quad(i, elements, vectors));
}

// Rows of `width` floats by their numbers: to[i] = from[numbers[i]], or the other way round where `scatter`. One row of
// blocks a row; a negative number moves nothing.
extern "C" __global__ void fdcn_move_rows(int const* numbers, float const* from, float* to, long long width,
                                          int scatter) {
    long long const number = numbers[blockIdx.y];
    if (number < 0) return;
    float const* const source = from + (scatter ? blockIdx.y : number) * width;
    float* const target = to + (scatter ? number : blockIdx.y) * width;
    bool const vectors = fdcn::aligned(from) && fdcn::aligned(to) && width % 4 == 0;
    if (vectors) {
        for (long long i = first_index(); i < width / 4; i += stride())
            reinterpret_cast<float4*>(target)[i] = reinterpret_cast<float4 const*>(source)[i];
    } else {
        for (long long i = first_index(); i < width; i += stride()) target[i] = source[i];
    }
}

// A picture in about [-1, 1], [images, channels, rows, columns], as bytes [images, height, width, channels], cropped:
// runtime/images.to_pixels.
extern "C" __global__ void fdcn_to_pixels(float const* picture, unsigned char* pixels, long long images, int channels,
                                          int rows, int columns, int height, int width) {
    for (long long i = first_index(); i < images * height * width; i += stride()) {
        long long const image = i / (1ll * height * width), y = i / width % height, x = i % width;
        for (int c = 0; c < channels; ++c)
            pixels[i * channels + c] = fdcn::level(picture[((image * channels + c) * rows + y) * columns + x]);
    }
}

// A latent without a decoder, [images, channels, rows, columns], as a rough picture of three channels whose sides are
// `factor` times as long: runtime/images.latent_preview.
extern "C" __global__ void fdcn_preview(float const* latent, float* picture, long long images, int channels, int rows,
                                        int columns, int factor) {
    long long const height = 1ll * rows * factor, width = 1ll * columns * factor;
    for (long long i = first_index(); i < images * 3 * height * width; i += stride()) {
        long long const image = i / (3 * height * width), y = i / width % height / factor, x = i % width / factor;
        int const channel = channels < 3 ? 0 : static_cast<int>(i / (height * width) % 3);
        picture[i] = fdcn::shade(latent[((image * channels + channel) * rows + y) * columns + x]);
    }
}

// Sets `flag` to 1 where a value is infinite or no number; nothing sets it back.
extern "C" __global__ void fdcn_find_not_finite(float const* values, long long count, int* flag) {
    for (long long i = first_index(); i < count; i += stride())
        if (!(fabsf(values[i]) <= 3.4028234663852886e38f)) *flag = 1;
}
