// Device memory and time, with every status looked at.
#pragma once

#include <cuda_runtime.h>

#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace fdcn {

inline void check(cudaError_t status, char const* what) {
    if (status != cudaSuccess) throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(status));
}

class Memory {
 public:
    explicit Memory(size_t bytes) : bytes_(bytes) { check(cudaMalloc(&data_, bytes), "cudaMalloc"); }
    template <class T>
    explicit Memory(std::vector<T> const& from) : Memory(from.size() * sizeof(T)) {
        check(cudaMemcpy(data_, from.data(), bytes_, cudaMemcpyHostToDevice), "copying to the device");
    }
    Memory(Memory const&) = delete;
    Memory& operator=(Memory const&) = delete;
    ~Memory() { cudaFree(data_); }

    void fill(int byte) { check(cudaMemset(data_, byte, bytes_), "cudaMemset"); }
    std::vector<unsigned char> copy() const {
        std::vector<unsigned char> to(bytes_);
        check(cudaMemcpy(to.data(), data_, bytes_, cudaMemcpyDeviceToHost), "copying from the device");
        return to;
    }
    template <class T = void>
    T* get() const {
        return static_cast<T*>(data_);
    }

 private:
    void* data_ = nullptr;
    size_t bytes_;
};

using Enqueue = std::function<void(cudaStream_t)>;

struct Times {
    std::vector<double> resident;  // seconds of a launch among many in one graph, its data in L2
    std::vector<double> cold;      // seconds of a launch alone, after L2 was filled with something else
};

// Times of `enqueue`, `samples` of each kind; none where that is 0.
Times measure(Enqueue const& enqueue, int samples);

}  // namespace fdcn
