// CUDA graphs: work that is recorded once and launched as one: runtime/backends/device_capture.py.
#pragma once

#include <cuda_runtime_api.h>

#include <functional>

#include "sampler/device.h"

namespace fdcn::impl {

// What `work` gives to `stream`, recorded while nothing of it runs, for launches on another stream.
//
// Addresses and sizes are recorded as they are now; what lies in memory is read at each launch. Other threads may use
// the device meanwhile. Throws std::runtime_error, or what `work` throws, where something in it cannot be recorded: the
// stream is as before then. It ends while its device is current and it is not running.
class CudaGraph final : public Recording {
public:
    CudaGraph(cudaStream_t stream, cudaStream_t launches, std::function<void(Stream)> const& work);
    ~CudaGraph() override;
    CudaGraph(CudaGraph const&) = delete;
    CudaGraph& operator=(CudaGraph const&) = delete;

    void launch() override;

private:
    cudaStream_t launches_;
    cudaGraphExec_t graph_ = nullptr;
};

}  // namespace fdcn::impl
