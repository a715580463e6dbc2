// Where a sampler's trajectory starts, and one row of its plan, four elements at a time: the arithmetic of
// runtime/advance.py, in its order and with its roundings. For a GPU and for a CPU; a host build needs
// -ffp-contract=off.
#pragma once

#include "philox.h"

namespace fdcn {

// Most passes of a row, and how many normals a row may draw.
constexpr int kPasses = 3, kDraws = 2;

// No fused multiply-add: NumPy rounds the product.
FDCN_BOTH inline float product(float a, float b) {
#ifdef __CUDA_ARCH__
    return __fmul_rn(a, b);
#else
    return a * b;
#endif
}

FDCN_BOTH inline float sum(float a, float b) {
#ifdef __CUDA_ARCH__
    return __fadd_rn(a, b);
#else
    return a + b;
#endif
}

// Whether four floats may be moved as one; null counts, for nothing is moved there.
FDCN_BOTH inline bool aligned(void const* a) { return reinterpret_cast<unsigned long long>(a) % 16 == 0; }

// Four consecutive elements of one image, which share a Philox block. The last ones of an image may be fewer.
struct Quad {
    long long image;
    long long first;  // in the image
    long long at;     // in the batch
    int count;
    bool whole;  // moved as one

    FDCN_BOTH static long long in(long long elements) { return (elements + 3) / 4; }

    FDCN_BOTH Quad(long long index, long long elements, bool vectors) {
        image = index / in(elements);
        first = 4 * (index - image * in(elements));
        at = image * elements + first;
        count = elements - first < 4 ? static_cast<int>(elements - first) : 4;
        whole = vectors && elements % 4 == 0;
    }

    FDCN_BOTH void read(float const* from, float* to) const {
        if (whole) {
            Four const four = *reinterpret_cast<Four const*>(from + at);
            for (int e = 0; e < 4; ++e) to[e] = four.of[e];
        } else {
            for (int e = 0; e < 4; ++e) to[e] = e < count ? from[at + e] : 0.0f;
        }
    }

    FDCN_BOTH void write(float* to, float const* from) const {
        if (whole) {
            *reinterpret_cast<Four*>(to + at) = {{from[0], from[1], from[2], from[3]}};
        } else {
            for (int e = 0; e < 4; ++e)
                if (e < count) to[at + e] = from[e];
        }
    }

    FDCN_BOTH void draw(unsigned long long const* seeds, int step, int draw, float* to) const {
        normals(seeds[image], static_cast<unsigned>(first / 4), step, draw, to);
    }

private:
    struct alignas(16) Four {
        float of[4];
    };
};

// Where a trajectory starts: `noise` where it is given, else each image's draw 0 of step 0. Both base and point begin
// there, and the network's first input is `passes` copies of it. Tensors are float32 [images, elements].
struct Begin {
    float const* noise;               // may be null
    unsigned long long const* seeds;  // one an image
    float* base;
    float* point;
    float* input;  // the network's, `passes` of them behind one another
    long long images, elements;
    int passes;

    FDCN_BOTH bool vectors() const { return aligned(noise) && aligned(base) && aligned(point) && aligned(input); }

    FDCN_BOTH void operator()(Quad const& quad) const {
        float x[4];
        if (noise)
            quad.read(noise, x);
        else
            quad.draw(seeds, 0, 0, x);
        quad.write(base, x);
        quad.write(point, x);
        for (int pass = 0; pass < passes; ++pass) quad.write(input + pass * images * elements, x);
    }
};

// A row's numbers as they lie in memory: base [m + 4], point [m + 4], weights [kPasses][guided, rest], predicted [2].
// Coefficients are over (base, point, the last m outputs newest first, two fresh normals).
struct Row {
    float const* numbers;
    int history;  // m

    FDCN_BOTH int terms() const { return history + 2 + kDraws; }
    FDCN_BOTH float base(int k) const { return numbers[k]; }
    FDCN_BOTH float point(int k) const { return numbers[terms() + k]; }
    FDCN_BOTH float guided(int pass) const { return numbers[2 * terms() + 2 * pass]; }
    FDCN_BOTH float rest(int pass) const { return numbers[2 * terms() + 2 * pass + 1]; }
    FDCN_BOTH float predicted(int k) const { return numbers[2 * terms() + 2 * kPasses + k]; }
};

// A sum of coefficients times terms, in the order they come in. A zero coefficient adds nothing, not even a NaN.
struct Combination {
    float value[4] = {0.0f, 0.0f, 0.0f, 0.0f};

    FDCN_BOTH void add(float coefficient, float const* term) {
        if (coefficient == 0.0f) return;
        for (int e = 0; e < 4; ++e) value[e] = sum(value[e], product(coefficient, term[e]));
    }
};

// What a row of a plan is applied to. Tensors are float32 [images, elements], or several of them behind one another.
struct Advance {
    Row row;
    float const* velocity;            // the network's outputs, one a pass
    unsigned long long const* seeds;  // one an image
    float* base;
    float* point;
    float* outputs;    // the last m, of which this row's replaces `newest`
    float* input;      // the network's next, `next_passes` times the point
    float* predicted;  // the final latents that this row points to; may be null
    long long images, elements;
    long long guided;  // so many elements of an image are guided
    int newest, step, passes, next_passes;

    FDCN_BOTH bool vectors() const {
        return aligned(velocity) && aligned(base) && aligned(point) && aligned(outputs) && aligned(input) &&
               aligned(predicted);
    }

    FDCN_BOTH void operator()(Quad const& quad) const {
        long long const batch = images * elements;
        float v[4], x[4], term[4];
        weigh(quad, v);
        quad.write(outputs + newest * batch, v);
        if (predicted) {
            quad.read(point, x);
            for (int e = 0; e < 4; ++e)
                term[e] = sum(product(row.predicted(0), x[e]), product(row.predicted(1), v[e]));
            quad.write(predicted, term);
        }
        Combination next_base, next_point;
        for (int k = 0; k < row.terms(); ++k) {
            float const to_base = row.base(k), to_point = row.point(k);
            // What has no weight is not read: history may be unfilled, and noise is dear.
            if (to_base == 0.0f && to_point == 0.0f) continue;
            if (k < 2)
                quad.read(k == 0 ? base : point, term);
            else if (k < 2 + row.history)
                quad.read(outputs + (newest + row.history - (k - 2)) % row.history * batch, term);
            else
                quad.draw(seeds, step, k - 2 - row.history, term);
            next_base.add(to_base, term);
            next_point.add(to_point, term);
        }
        quad.write(base, next_base.value);
        quad.write(point, next_point.value);
        for (int pass = 0; pass < next_passes; ++pass) quad.write(input + pass * batch, next_point.value);
    }

private:
    // The passes' weighted sum.
    FDCN_BOTH void weigh(Quad const& quad, float* v) const {
        for (int e = 0; e < 4; ++e) v[e] = 0.0f;
        for (int pass = 0; pass < passes; ++pass) {
            float const on_guided = row.guided(pass), on_rest = row.rest(pass);
            float output[4];
            quad.read(velocity + pass * images * elements, output);
            for (int e = 0; e < 4; ++e)
                v[e] = sum(v[e], product(quad.first + e < guided ? on_guided : on_rest, output[e]));
        }
    }
};

}  // namespace fdcn
