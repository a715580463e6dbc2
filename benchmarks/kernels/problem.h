// What a kernel is checked and timed on: sizes from the command line, inputs, and what the CPU makes of them.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "host.h"
#include "launch.h"

namespace fdcn {

struct Problem {
    Shape shape{2, 16, 16, 16, 72, 9};
    Type type = Type::kFloat16;
    int samples = 30;  // 0: check alone
    std::vector<float> projection, prior, s_max, want;

    size_t bytes() const { return type == Type::kFloat32 ? 4 : 2; }
    char const* type_name() const {
        return type == Type::kFloat32 ? "float32" : type == Type::kFloat16 ? "float16" : "bfloat16";
    }
};

// A number as the tensors hold it, and back.
inline void store_as(Type type, float value, void* to) {
    if (type == Type::kFloat32) std::memcpy(to, &value, sizeof value);
    __half const half = __float2half_rn(value);
    if (type == Type::kFloat16) std::memcpy(to, &half, sizeof half);
    __nv_bfloat16 const brain = __float2bfloat16_rn(value);
    if (type == Type::kBFloat16) std::memcpy(to, &brain, sizeof brain);
}

inline float load_as(Type type, void const* from) {
    float value;
    __half half;
    __nv_bfloat16 brain;
    if (type == Type::kFloat16) return std::memcpy(&half, from, sizeof half), __half2float(half);
    if (type == Type::kBFloat16) return std::memcpy(&brain, from, sizeof brain), __bfloat162float(brain);
    return std::memcpy(&value, from, sizeof value), value;
}

inline Problem parse(int count, char** words) {
    Problem problem;
    Shape& s = problem.shape;
    for (int i = 1; i < count; ++i) {
        std::string const word = words[i], value = i + 1 < count ? words[i + 1] : "";
        if (word == "--check") {
            problem.samples = 0;
        } else if (word == "--samples") {
            problem.samples = std::stoi(value), ++i;
        } else if (word == "--layout" && std::sscanf(value.c_str(), "%lld,%lld,%lld,%d,%d,%d", &s.images, &s.rows,
                                                     &s.columns, &s.groups, &s.channels, &s.taps) == 6) {
            ++i;
        } else if (word == "--type" && (value == "float32" || value == "float16" || value == "bfloat16")) {
            problem.type = value == "float32" ? Type::kFloat32 : value == "float16" ? Type::kFloat16 : Type::kBFloat16;
            ++i;
        } else {
            throw std::runtime_error("usage: [--layout N,H,W,G,C,K] [--type float32|float16|bfloat16] [--samples COUNT]"
                                     " [--check]");
        }
    }
    if (s.empty() || !s.valid()) throw std::runtime_error("these sizes cannot be");
    return problem;
}

// Inputs as FlowDCN's are: the groups' reach grows from less than a token to six, and offsets stray about it.
inline void fill(Problem& problem) {
    Shape const& s = problem.shape;
    std::mt19937 random(0);
    std::normal_distribution<float> normal;
    int const side = std::max(1, static_cast<int>(std::sqrt(static_cast<double>(s.taps))));
    for (int k = 0; k < s.taps; ++k) {
        problem.prior.push_back(static_cast<float>(k % side - (side - 1) / 2));
        problem.prior.push_back(static_cast<float>(k / side - (side - 1) / 2));
    }
    problem.s_max.assign(static_cast<size_t>(2 * s.images), 6.0f);
    std::vector<unsigned char> rounded(4);
    auto const push = [&](float value) {
        store_as(problem.type, value, rounded.data());
        problem.projection.push_back(load_as(problem.type, rounded.data()));
    };
    for (long long token = 0; token < s.images * s.tokens(); ++token) {
        for (long long value = 0; value < s.values(); ++value) push(normal(random));
        for (int group = 0; group < s.groups; ++group) {
            float const reach = (group + 0.95f) / static_cast<float>(s.groups);
            for (int k = 0; k < s.taps; ++k) {
                push(0.3f * normal(random));
                push(0.3f * normal(random));
                push(std::log(reach / (1 - reach)) + 0.3f * normal(random));
                push(0.3f * normal(random));
            }
        }
    }
    problem.want.resize(static_cast<size_t>(s.images * s.tokens() * s.values()));
    multi_scale_dcn_host(s, problem.projection.data(), problem.prior.data(), problem.s_max.data(), problem.want.data());
}

inline std::vector<unsigned char> encode(Problem const& problem) {
    std::vector<unsigned char> encoded(problem.projection.size() * problem.bytes());
    for (size_t i = 0; i < problem.projection.size(); ++i)
        store_as(problem.type, problem.projection[i], &encoded[i * problem.bytes()]);
    return encoded;
}

// The largest error, as a fraction of what the type allows. Throws where it is more than that, NaN included.
inline double compare(Problem const& problem, std::vector<unsigned char> const& output) {
    double const relative = problem.type == Type::kFloat32 ? 1e-5 : problem.type == Type::kFloat16 ? 0x1p-10 : 0x1p-7;
    double worst = 0;
    for (size_t i = 0; i < problem.want.size(); ++i) {
        double const want = problem.want[i], got = load_as(problem.type, &output[i * problem.bytes()]);
        double const error = std::abs(got - want) / (1e-4 + relative * std::abs(want));
        if (!(error <= 1)) {
            throw std::runtime_error("element " + std::to_string(i) + " is " + std::to_string(got) + ", not " +
                                     std::to_string(want));
        }
        worst = std::max(worst, error);
    }
    return worst;
}

// Cells that each group of each token reads, one after the other, counted from the batch's first; corners outside are
// left out, and so a list has at most `most` of them and ends with -1 where it is shorter.
inline std::vector<int> gathered_cells(Problem const& problem) {
    Shape const& s = problem.shape;
    size_t const most = 4 * static_cast<size_t>(s.taps);
    std::vector<int> cells(static_cast<size_t>(s.images * s.tokens() * s.groups) * most, -1);
    for (long long token = 0; token < s.images * s.tokens(); ++token) {
        int const column = static_cast<int>(token % s.columns), row = static_cast<int>(token / s.columns % s.rows);
        long long const image = token / s.tokens();
        float const* tap = problem.projection.data() + token * s.width() + s.values();
        for (int group = 0; group < s.groups; ++group) {
            int* to = &cells[static_cast<size_t>(token * s.groups + group) * most];
            for (int k = 0; k < s.taps; ++k, tap += kTapFields) {
                float const scale = 6 * sigmoid(tap[2]), *prior = &problem.prior[2 * static_cast<size_t>(k)];
                float const x = position(column, tap[0], prior[0], scale), y = position(row, tap[1], prior[1], scale);
                Landing const at = land(x, y, static_cast<int>(s.columns), static_cast<int>(s.rows));
                for (int corner = 0; corner < 4 && at.counts; ++corner) {
                    int const right = at.column + corner % 2, below = at.row + corner / 2;
                    if (inside(right, static_cast<int>(s.columns)) && inside(below, static_cast<int>(s.rows)))
                        *to++ = static_cast<int>(image * s.tokens() + below * s.columns + right);
                }
            }
        }
    }
    return cells;
}

// Bytes of values that all groups of all tokens read, each as often as it is read.
inline double gathered_bytes(Problem const& problem, std::vector<int> const& cells) {
    auto const corners = std::count_if(cells.begin(), cells.end(), [](int cell) { return cell >= 0; });
    return static_cast<double>(corners) * problem.shape.channels * static_cast<double>(problem.bytes());
}

// Bytes that must move at least: the projection once, and the output once.
inline double compulsory_bytes(Problem const& problem) {
    return static_cast<double>(problem.projection.size() + problem.want.size()) * static_cast<double>(problem.bytes());
}

}  // namespace fdcn
