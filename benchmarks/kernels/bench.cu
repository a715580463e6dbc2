// Checks a launcher of launch.h, which a step is, against the CPU, then times it, and prints both as a line of JSON.
#include "launch.h"
#include "report.h"

namespace fdcn {
namespace {

void run(Problem problem) {
    fill(problem);
    Memory const projection(encode(problem)), prior(problem.prior), s_max(problem.s_max);
    Memory out(problem.want.size() * problem.bytes());
    auto const enqueue = [&](cudaStream_t stream) {
        check(multi_scale_dcn(problem.type, problem.shape, projection.get(), prior.get<float>(), s_max.get<float>(),
                              out.get(), stream),
              "launching");
    };
    out.fill(0xff);  // NaN, in every type
    enqueue(nullptr);
    check(cudaDeviceSynchronize(), "running");
    double const worst = compare(problem, out.copy());
    char fields[128];
    std::snprintf(fields, sizeof fields, "\"type\": \"%s\", \"error_over_tolerance\": %.3g", problem.type_name(),
                  worst);
    print_result(fields, problem, gathered_cells(problem), measure(enqueue, problem.samples));
}

}  // namespace
}  // namespace fdcn

int main(int count, char** words) {
    try {
        fdcn::run(fdcn::parse(count, words));
        return 0;
    } catch (std::exception const& error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 1;
    }
}
