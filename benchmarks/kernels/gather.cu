// A plain gather of the rows that the operator gathers, and nothing else: the bandwidth that kernels are held against.
//
// Each thread loads 16 bytes of each of a group's rows and writes their exclusive or. Once past the multiprocessor's
// own cache, so that every byte comes from L2, and once through it.
#include "report.h"

namespace fdcn {
namespace {

constexpr int kBlock = 256, kVector = 16;

__device__ uint4 either(uint4 a, uint4 b) { return {a.x ^ b.x, a.y ^ b.y, a.z ^ b.z, a.w ^ b.w}; }

template <bool through>
__device__ uint4 load(unsigned char const* from, int cell, unsigned row) {
    auto const* const vector = reinterpret_cast<uint4 const*>(from + 1LL * cell * row);
    return through ? __ldg(vector) : __ldcg(vector);
}

template <bool through>
__global__ void gather(unsigned char const* projection, int4 const* cells, uint4* out, unsigned row, unsigned vectors,
                       int taps, int groups, long long items) {
    long long const item = 1LL * blockIdx.x * kBlock + threadIdx.x;
    if (item >= items) return;
    long long const unit = item / vectors;
    unsigned char const* const from = projection + (unit % groups * vectors + item % vectors) * kVector;
    int4 const* list = cells + unit * taps;
    uint4 total = {0, 0, 0, 0};
    for (int i = 0; i < taps; ++i) {
        int4 const cell = __ldg(list + i);
        if (cell.w < 0) {  // the end of the list
            if (cell.x >= 0) total = either(total, load<through>(from, cell.x, row));
            if (cell.y >= 0) total = either(total, load<through>(from, cell.y, row));
            if (cell.z >= 0) total = either(total, load<through>(from, cell.z, row));
            break;
        }
        uint4 const a = load<through>(from, cell.x, row), b = load<through>(from, cell.y, row);
        uint4 const c = load<through>(from, cell.z, row), d = load<through>(from, cell.w, row);
        total = either(total, either(either(a, b), either(c, d)));
    }
    out[item] = total;
}

// What the kernel has to write.
std::vector<unsigned char> want(Problem const& problem, std::vector<unsigned char> const& projection,
                                std::vector<int> const& cells) {
    Shape const& s = problem.shape;
    size_t const most = 4 * static_cast<size_t>(s.taps), bytes = s.channels * problem.bytes();
    size_t const row = static_cast<size_t>(s.width()) * problem.bytes(), groups = static_cast<size_t>(s.groups);
    std::vector<unsigned char> out(cells.size() / most * bytes);
    for (size_t unit = 0; unit < cells.size() / most; ++unit)
        for (size_t i = 0; i < most && cells[unit * most + i] >= 0; ++i)
            for (size_t byte = 0; byte < bytes; ++byte)
                out[unit * bytes + byte] ^=
                    projection[static_cast<size_t>(cells[unit * most + i]) * row + unit % groups * bytes + byte];
    return out;
}

template <bool through>
void run(Problem const& problem, std::vector<int> const& cells) {
    Shape const& s = problem.shape;
    std::vector<unsigned char> const encoded = encode(problem), expected = want(problem, encoded, cells);
    Memory const projection(encoded), lists(cells);
    Memory out(expected.size());
    auto items = static_cast<long long>(expected.size() / kVector);
    auto const* from = projection.get<unsigned char>();
    auto const* list = lists.get<int4>();
    auto* to = out.get<uint4>();
    auto row = static_cast<unsigned>(static_cast<size_t>(s.width()) * problem.bytes());
    auto vectors = static_cast<unsigned>(static_cast<size_t>(s.channels) * problem.bytes() / kVector);
    int taps = s.taps, groups = s.groups;
    void* arguments[] = {&from, &list, &to, &row, &vectors, &taps, &groups, &items};
    auto const enqueue = [&](cudaStream_t stream) {
        unsigned const blocks = static_cast<unsigned>((items + kBlock - 1) / kBlock);
        check(cudaLaunchKernel(gather<through>, blocks, kBlock, arguments, 0, stream), "launching");
    };
    out.fill(0xff);
    enqueue(nullptr);
    check(cudaDeviceSynchronize(), "running");
    if (out.copy() != expected) throw std::runtime_error("the gather reads other rows than it should");
    char const* const cache = through ? "\"cache\": \"L1\"" : "\"cache\": \"L2\"";
    print_result(cache, problem, cells, measure(enqueue, problem.samples));
}

}  // namespace
}  // namespace fdcn

int main(int count, char** words) {
    try {
        fdcn::Problem problem = fdcn::parse(count, words);
        size_t const vector = fdcn::kVector, bytes = problem.bytes();
        if (problem.shape.channels * bytes % vector != 0 || problem.shape.width() * bytes % vector != 0)
            throw std::runtime_error("a group's values and a token's numbers must fill vectors of 16 bytes");
        fdcn::fill(problem);
        std::vector<int> const cells = fdcn::gathered_cells(problem);
        fdcn::run<false>(problem, cells);
        fdcn::run<true>(problem, cells);
        return 0;
    } catch (std::exception const& error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 1;
    }
}
