#include "tensorrt/engine/cuda_device.h"

#include <array>
#include <map>
#include <mutex>
#include <utility>

#include "sampler/out_of_memory.h"
#include "tensorrt/engine/cuda.h"
#include "tensorrt/engine/recording.h"

namespace fdcn::impl {
namespace {

// The context of a GPU that CUDA's runtime has, too; it stays for as long as the process.
void* context_of(Driver const& driver, int ordinal) {
    static std::mutex mutex;
    static std::map<int, void*> contexts;
    std::lock_guard<std::mutex> const lock(mutex);
    auto const found = contexts.find(ordinal);
    if (found != contexts.end()) return found->second;
    int device = 0;
    void* context = nullptr;
    driver.check("cuDeviceGet", driver.device(&device, ordinal));
    driver.check("cuDevicePrimaryCtxRetain", driver.retain_context(&context, device));
    return contexts[ordinal] = context;
}

cudaStream_t cuda(Stream stream) { return static_cast<cudaStream_t>(stream); }
cudaEvent_t cuda_event(Event event) { return static_cast<cudaEvent_t>(event); }

}  // namespace

CudaDevice::CudaDevice(Gpu const& gpu, Driver const& driver)
    : driver_(driver), ordinal_(gpu.index), context_(context_of(driver, gpu.index)) {
    auto const current = this->current();
    stream_ = new_stream();
}

CudaDevice::~CudaDevice() {
    void* before = nullptr;
    if (driver_.push_context(context_) != 0) return;  // the driver is gone, and the stream with it
    free_stream(stream_);
    driver_.pop_context(&before);
}

std::optional<std::string> CudaDevice::elsewhere(void const* memory) {
    auto const current = this->current();
    cudaPointerAttributes found{};
    check("looking where memory lies", "cudaPointerGetAttributes", cudaPointerGetAttributes(&found, memory));
    switch (found.type) {
        case cudaMemoryTypeDevice:
            if (found.device == ordinal_) return std::nullopt;
            return "GPU " + std::to_string(found.device);
        case cudaMemoryTypeHost: return "pinned memory";
        case cudaMemoryTypeManaged: return "managed memory";
        default: return "the CPU";
    }
}

// Putting the context in place of the thread's own and back leaves alone which device others have chosen there.
std::shared_ptr<void> CudaDevice::current() {
    driver_.check("cuCtxPushCurrent", driver_.push_context(context_));
    return {nullptr, [&driver = driver_](void*) {
                void* ours = nullptr;
                driver.pop_context(&ours);
            }};
}

std::size_t CudaDevice::free_memory() {
    auto const current = this->current();
    std::size_t free = 0, total = 0;
    check("asking for the GPU's memory", "cudaMemGetInfo", cudaMemGetInfo(&free, &total));
    return free;
}

std::size_t CudaDevice::total_memory() {
    auto const current = this->current();
    std::size_t free = 0, total = 0;
    check("asking for the GPU's memory", "cudaMemGetInfo", cudaMemGetInfo(&free, &total));
    return total;
}

void* CudaDevice::allocate(std::string const& what, std::size_t size) {
    void* memory = nullptr;
    cudaError_t status = cudaMalloc(&memory, size);
    if (status == cudaErrorMemoryAllocation) {
        cudaGetLastError();
        if (spare && spare()) status = cudaMalloc(&memory, size);
    }
    if (status == cudaErrorMemoryAllocation) {
        cudaGetLastError();
        throw OutOfMemory(what, size, free_memory());
    }
    check(what, "cudaMalloc", status);
    return memory;
}

// The device finishes what it was given first.
void CudaDevice::free(void* memory) noexcept { cudaFree(memory); }

void* CudaDevice::allocate_pinned(std::string const& what, std::size_t size) {
    void* memory = nullptr;
    check(what, "cudaHostAlloc", cudaHostAlloc(&memory, size, cudaHostAllocDefault));
    return memory;
}

void CudaDevice::free_pinned(void* memory) noexcept { cudaFreeHost(memory); }

void CudaDevice::copy(std::string const& what, void* to, void const* from, std::size_t size, Copy kind,
                      Stream stream) {
    cudaMemcpyKind const direction = kind == Copy::kToDevice ? cudaMemcpyHostToDevice
                                     : kind == Copy::kToHost ? cudaMemcpyDeviceToHost
                                                             : cudaMemcpyDeviceToDevice;
    check("copying " + what, "cudaMemcpyAsync", cudaMemcpyAsync(to, from, size, direction, cuda(stream)));
}

void CudaDevice::clear(void* memory, std::size_t size, Stream stream) {
    check("clearing memory", "cudaMemsetAsync", cudaMemsetAsync(memory, 0, size, cuda(stream)));
}

// It waits for no other.
Stream CudaDevice::new_stream() {
    cudaStream_t stream = nullptr;
    check("creating a stream", "cudaStreamCreateWithFlags", cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    return stream;
}

void CudaDevice::free_stream(Stream stream) noexcept { cudaStreamDestroy(cuda(stream)); }

Event CudaDevice::new_event() {
    cudaEvent_t event = nullptr;
    check("creating an event", "cudaEventCreateWithFlags", cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
    return event;
}

void CudaDevice::free_event(Event event) noexcept { cudaEventDestroy(cuda_event(event)); }

void CudaDevice::record(Event event, Stream stream) {
    check("recording an event", "cudaEventRecord", cudaEventRecord(cuda_event(event), cuda(stream)));
}

// Nobody needs the device to be current for this, but without one CUDA's runtime would make another GPU's context.
void CudaDevice::wait(Event event, std::string const& doing) {
    auto const current = this->current();
    check(doing, "cudaEventSynchronize", cudaEventSynchronize(cuda_event(event)));
}

void CudaDevice::follow(Stream other) {
    std::unique_ptr<void, std::function<void(Event)>> const event(new_event(), [this](Event e) { free_event(e); });
    record(event.get(), other);
    check("waiting for the caller's stream", "cudaStreamWaitEvent",
          cudaStreamWaitEvent(cuda(stream_), cuda_event(event.get()), 0));
}

void CudaDevice::synchronize(std::string const& doing) {
    check(doing, "cudaStreamSynchronize", cudaStreamSynchronize(cuda(stream_)));
}

std::unique_ptr<Recording> CudaDevice::recorded(Stream stream, std::function<void(Stream)> const& work) {
    return std::make_unique<CudaGraph>(cuda(stream), cuda(stream_), work);
}

}  // namespace fdcn::impl
