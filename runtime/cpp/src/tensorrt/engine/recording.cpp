#include "tensorrt/engine/recording.h"

#include "tensorrt/engine/cuda.h"

namespace fdcn::impl {
namespace {

constexpr char kDoing[] = "recording a CUDA graph";

cudaGraph_t record(cudaStream_t stream, std::function<void(Stream)> const& work) {
    check(kDoing, "cudaStreamBeginCapture", cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    cudaGraph_t graph = nullptr;
    try {
        work(stream);
    } catch (...) {
        // Ends the recording; where it has become invalid that is an error of its own, and the first one counts.
        if (cudaStreamEndCapture(stream, &graph) == cudaSuccess)
            cudaGraphDestroy(graph);
        else
            cudaGetLastError();
        throw;
    }
    check(kDoing, "cudaStreamEndCapture", cudaStreamEndCapture(stream, &graph));
    return graph;
}

}  // namespace

CudaGraph::CudaGraph(cudaStream_t stream, cudaStream_t launches, std::function<void(Stream)> const& work)
    : launches_(launches) {
    cudaGraph_t const graph = record(stream, work);
    cudaError_t const status = cudaGraphInstantiate(&graph_, graph, 0);
    cudaGraphDestroy(graph);
    check("instantiating a CUDA graph", "cudaGraphInstantiate", status);
}

CudaGraph::~CudaGraph() { cudaGraphExecDestroy(graph_); }

void CudaGraph::launch() { check("launching a CUDA graph", "cudaGraphLaunch", cudaGraphLaunch(graph_, launches_)); }

}  // namespace fdcn::impl
