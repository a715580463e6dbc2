#include "device.h"

#include <algorithm>

namespace fdcn {
namespace {

constexpr int kLaunches = 20;  // in a graph

class Event {
 public:
    Event() { check(cudaEventCreate(&event_), "cudaEventCreate"); }
    Event(Event const&) = delete;
    Event& operator=(Event const&) = delete;
    ~Event() { cudaEventDestroy(event_); }

    void record(cudaStream_t stream) { check(cudaEventRecord(event_, stream), "cudaEventRecord"); }
    double seconds_since(Event const& start) const {
        float milliseconds = 0;
        check(cudaEventSynchronize(event_), "waiting for the kernel");
        check(cudaEventElapsedTime(&milliseconds, start.event_, event_), "cudaEventElapsedTime");
        return milliseconds * 1e-3;
    }

 private:
    cudaEvent_t event_ = nullptr;
};

cudaGraphExec_t capture(Enqueue const& enqueue, cudaStream_t stream) {
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t executable = nullptr;
    check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
    for (int i = 0; i < kLaunches; ++i) enqueue(stream);
    check(cudaStreamEndCapture(stream, &graph), "cudaStreamEndCapture");
    check(cudaGraphInstantiate(&executable, graph, 0), "cudaGraphInstantiate");
    check(cudaGraphDestroy(graph), "cudaGraphDestroy");
    return executable;
}

}  // namespace

Times measure(Enqueue const& enqueue, int samples) {
    if (samples == 0) return {};
    cudaStream_t stream = nullptr;
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
    cudaDeviceProp device;
    check(cudaGetDeviceProperties(&device, 0), "cudaGetDeviceProperties");
    size_t const flush = 4 * static_cast<size_t>(std::max(device.l2CacheSize, 1 << 20));
    Memory other(flush);
    cudaGraphExec_t const graph = capture(enqueue, stream);
    Event start, end;
    Times times;
    for (int warming = 3; warming > -samples; --warming) {
        start.record(stream);
        check(cudaGraphLaunch(graph, stream), "cudaGraphLaunch");
        end.record(stream);
        double const seconds = end.seconds_since(start) / kLaunches;
        if (warming <= 0) times.resident.push_back(seconds);
    }
    for (int warming = 3; warming > -samples; --warming) {
        check(cudaMemsetAsync(other.get(), warming & 0xff, flush, stream), "cudaMemsetAsync");
        start.record(stream);
        enqueue(stream);
        end.record(stream);
        double const seconds = end.seconds_since(start);
        if (warming <= 0) times.cold.push_back(seconds);
    }
    check(cudaGraphExecDestroy(graph), "cudaGraphExecDestroy");
    check(cudaStreamDestroy(stream), "cudaStreamDestroy");
    return times;
}

}  // namespace fdcn
