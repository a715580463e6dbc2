// Streams are lists of work that a waiting thread does; memory starts as NaN, and is known by its address.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "simulated_gpu.h"

using Work = std::function<void()>;

struct SimulatedGraph {
    std::vector<Work> work;
};

struct SimulatedStream {
    std::vector<Work> waiting;
    SimulatedGraph* recorded = nullptr;
    std::thread::id thread;  // that captures
    bool invalid = false;    // the capture
};

// The last recording of it.
struct SimulatedEvent {
    SimulatedStream* stream = nullptr;
    std::shared_ptr<bool> happened;
};

namespace simulated {
namespace {

std::recursive_mutex mutex;
std::map<char const*, std::size_t> memory, pinned;
std::set<void*> streams, events, graphs;
std::set<std::string> found_violations;
std::size_t total = std::size_t{1} << 28;
bool capture_refused = false;
int launched = 0;
using Lock = std::lock_guard<std::recursive_mutex>;

std::size_t taken() {
    std::size_t bytes = 0;
    for (auto const& [address, size] : memory) bytes += size;
    return bytes;
}

cudaError_t take(std::map<char const*, std::size_t>& from, void** address, std::size_t size) {
    *address = std::aligned_alloc(256, (size + 255) / 256 * 256);
    std::memset(*address, 0xff, size);
    from[static_cast<char*>(*address)] = size;
    return cudaSuccess;
}

cudaError_t give_back(std::map<char const*, std::size_t>& to, void* address) {
    if (to.erase(static_cast<char*>(address)) == 0) violation("memory is given back that nobody has");
    std::free(address);
    return cudaSuccess;
}

bool holds(std::map<char const*, std::size_t> const& blocks, void const* address, std::size_t size) {
    auto const* const begin = static_cast<char const*>(address);
    auto block = blocks.upper_bound(begin);
    if (block == blocks.begin()) return false;
    --block;
    return begin + size <= block->first + block->second;
}

// Do a stream's work, until `enough` where that is given.
void run(SimulatedStream* stream, std::function<bool()> const& enough = nullptr) {
    while (!stream->waiting.empty() && !(enough && enough())) {
        Work const work = stream->waiting.front();
        stream->waiting.erase(stream->waiting.begin());
        work();
    }
}

// A call that cannot be recorded, or is made for no device.
bool forbidden() {
    if (simulated_contexts() == 0) violation("a call without a current device");
    for (void* each : streams) {
        auto* const stream = static_cast<SimulatedStream*>(each);
        if (stream->recorded == nullptr || stream->thread != std::this_thread::get_id()) continue;
        stream->invalid = true;
        return true;
    }
    return false;
}

}  // namespace

bool give(cudaStream_t stream, Work work) {
    Lock const lock(mutex);
    if (simulated_contexts() == 0) violation("work without a current device");
    if (streams.count(stream) == 0) return violation("work for a stream that is gone"), false;
    if (stream->recorded == nullptr) return stream->waiting.push_back(std::move(work)), true;
    if (stream->thread != std::this_thread::get_id()) violation("another thread gives work to a stream that records");
    stream->recorded->work.push_back(std::move(work));
    return true;
}

bool capturing(cudaStream_t stream) {
    Lock const lock(mutex);
    return stream->recorded != nullptr;
}

bool inside(void const* address, std::size_t size) {
    Lock const lock(mutex);
    return holds(memory, address, size);
}

void violation(std::string const& what) {
    Lock const lock(mutex);
    found_violations.insert(what);
}

std::string violations() {
    Lock const lock(mutex);
    std::string all;
    for (std::string const& each : found_violations) all += each + "; ";
    found_violations.clear();
    return all;
}

void set_memory(std::size_t bytes) {
    Lock const lock(mutex);
    total = bytes;
}

void refuse_capture(bool refuse) {
    Lock const lock(mutex);
    capture_refused = refuse;
}

std::map<std::string, std::size_t> left() {
    Lock const lock(mutex);
    std::map<std::string, std::size_t> kept{{"memory", memory.size()},
                                            {"pinned", pinned.size()},
                                            {"streams", streams.size()},
                                            {"events", events.size()},
                                            {"graphs", graphs.size()}};
    for (auto each = kept.begin(); each != kept.end();) each = each->second == 0 ? kept.erase(each) : std::next(each);
    return kept;
}

int launches() {
    Lock const lock(mutex);
    return launched;
}

}  // namespace simulated

using namespace simulated;

cudaError_t cudaGetLastError() { return cudaSuccess; }

char const* cudaGetErrorString(cudaError_t status) {
    switch (status) {
        case cudaErrorMemoryAllocation: return "out of memory";
        case cudaErrorStreamCaptureUnsupported: return "operation not permitted when stream is capturing";
        default: return "invalid argument";
    }
}

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* all) {
    Lock const lock(mutex);
    if (simulated_contexts() == 0) violation("a call without a current device");
    *all = total;
    *free = total - std::min(total, taken());
    return cudaSuccess;
}

cudaError_t cudaMalloc(void** address, std::size_t size) {
    Lock const lock(mutex);
    if (forbidden()) return cudaErrorStreamCaptureUnsupported;
    return taken() + size > total ? cudaErrorMemoryAllocation : take(memory, address, size);
}

// The device finishes what it was given first.
cudaError_t cudaFree(void* address) {
    Lock const lock(mutex);
    if (forbidden()) return cudaErrorStreamCaptureUnsupported;
    for (void* each : streams) run(static_cast<SimulatedStream*>(each));
    return give_back(memory, address);
}

cudaError_t cudaHostAlloc(void** address, std::size_t size, unsigned) {
    Lock const lock(mutex);
    return forbidden() ? cudaErrorStreamCaptureUnsupported : take(pinned, address, size);
}

cudaError_t cudaFreeHost(void* address) {
    Lock const lock(mutex);
    if (forbidden()) return cudaErrorStreamCaptureUnsupported;
    for (void* each : streams) run(static_cast<SimulatedStream*>(each));
    return give_back(pinned, address);
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* found, void const* address) {
    Lock const lock(mutex);
    *found = {holds(memory, address, 1)   ? cudaMemoryTypeDevice
              : holds(pinned, address, 1) ? cudaMemoryTypeHost
                                          : cudaMemoryTypeUnregistered,
              0};
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, void const* from, std::size_t size, cudaMemcpyKind kind, cudaStream_t stream) {
    if (kind != cudaMemcpyDeviceToHost && !inside(to, size)) violation("a copy to what is not the GPU's");
    if (kind != cudaMemcpyHostToDevice && !inside(from, size)) violation("a copy from what is not the GPU's");
    return give(stream, [=] { std::memcpy(to, from, size); }) ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t cudaMemsetAsync(void* address, int byte, std::size_t size, cudaStream_t stream) {
    if (!inside(address, size)) violation("clearing what is not the GPU's");
    return give(stream, [=] { std::memset(address, byte, size); }) ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
    Lock const lock(mutex);
    if (forbidden()) return cudaErrorStreamCaptureUnsupported;
    *stream = new SimulatedStream();
    streams.insert(*stream);
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    Lock const lock(mutex);
    if (streams.erase(stream) == 0) return violation("a stream is given back twice"), cudaErrorInvalidValue;
    if (!stream->waiting.empty()) violation("a stream is given back with work in it");
    delete stream;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    Lock const lock(mutex);
    if (forbidden()) return cudaErrorStreamCaptureUnsupported;
    run(stream);
    return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
    Lock const lock(mutex);
    give(stream, [other = event->stream, happened = event->happened] { run(other, [happened] { return *happened; }); });
    return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
    Lock const lock(mutex);
    *event = new SimulatedEvent();
    events.insert(*event);
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
    Lock const lock(mutex);
    if (events.erase(event) == 0) return violation("an event is given back twice"), cudaErrorInvalidValue;
    delete event;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    Lock const lock(mutex);
    *event = {stream, std::make_shared<bool>(false)};
    return give(stream, [happened = event->happened] { *happened = true; }) ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    Lock const lock(mutex);
    if (forbidden()) return cudaErrorStreamCaptureUnsupported;
    if (event->stream != nullptr) run(event->stream, [event] { return *event->happened; });
    return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
    Lock const lock(mutex);
    if (simulated_contexts() == 0) violation("a call without a current device");
    if (capture_refused) return cudaErrorStreamCaptureUnsupported;
    stream->recorded = new SimulatedGraph();
    stream->thread = std::this_thread::get_id();
    stream->invalid = false;
    graphs.insert(stream->recorded);
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
    Lock const lock(mutex);
    *graph = stream->recorded;
    stream->recorded = nullptr;
    if (!stream->invalid) return cudaSuccess;
    cudaGraphDestroy(*graph);
    return cudaErrorStreamCaptureUnsupported;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* made, cudaGraph_t graph, unsigned long long) {
    Lock const lock(mutex);
    *made = new SimulatedGraph(*graph);
    graphs.insert(*made);
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    Lock const lock(mutex);
    graphs.erase(graph);
    delete graph;
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) { return cudaGraphDestroy(graph); }

cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream) {
    Lock const lock(mutex);
    ++launched;
    for (Work const& work : graph->work) give(stream, work);
    return cudaSuccess;
}
