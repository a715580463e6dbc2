// Where tensors lie and kernels run: a GPU, or the host as if it were one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "native/advance.h"

namespace fdcn::impl {

using Stream = void*;  // a cudaStream_t; null on the host
using Event = void*;

enum class Copy { kToDevice, kToHost, kWithin };

// Work that was recorded once and is launched as one: a CUDA graph.
class Recording {
public:
    virtual ~Recording() = default;
    virtual void launch() = 0;  // on the device's own stream
};

// Every call is for the thread's current device: hold `current()`. On the host work is done when a call returns.
// Throws Error where memory or the driver does not suffice, `what` or `doing` naming the work, and std::runtime_error
// for whatever else goes wrong.
class Device {
public:
    virtual ~Device() = default;

    // Makes this the thread's device until what it returns goes.
    virtual std::shared_ptr<void> current() = 0;
    // Whether work goes on after a call has returned.
    virtual bool asynchronous() const = 0;

    virtual std::size_t free_memory() = 0;
    virtual std::size_t total_memory() = 0;
    // At multiples of 256. Where memory is short, `spare` is asked to give some back and it is tried once more; then
    // throws OutOfMemory.
    virtual void* allocate(std::string const& what, std::size_t size) = 0;
    virtual void free(void* memory) noexcept = 0;
    // Of the host, copied without its processor.
    virtual void* allocate_pinned(std::string const& what, std::size_t size) = 0;
    virtual void free_pinned(void* memory) noexcept = 0;
    virtual void copy(std::string const& what, void* to, void const* from, std::size_t size, Copy kind,
                      Stream stream) = 0;
    virtual void clear(void* memory, std::size_t size, Stream stream) = 0;

    virtual Stream stream() = 0;  // its own
    virtual Stream new_stream() = 0;
    virtual void free_stream(Stream stream) noexcept = 0;
    virtual Event new_event() = 0;
    virtual void free_event(Event event) noexcept = 0;
    virtual void record(Event event, Stream stream) = 0;
    virtual void wait(Event event, std::string const& doing) = 0;
    // Let this device's stream begin what follows after all that another stream was given.
    virtual void follow(Stream other) = 0;
    virtual void synchronize(std::string const& doing) = 0;
    // What `work` gives to a stream, recorded while nothing of it runs; null where this device records nothing.
    virtual std::unique_ptr<Recording> recorded(Stream stream, std::function<void(Stream)> const& work) = 0;

    // The kernels of native/sampler.cu, with runtime/kernels.py's meaning.
    virtual void begin(float const* noise, unsigned long long const* seeds, float* base, float* point, float* latent,
                       std::int64_t images, std::int64_t elements, int passes, Stream stream) = 0;
    virtual void advance(Advance const& advance, Stream stream) = 0;
    // target[i] = source[numbers[i]], rows of `width` floats; scatter the other way, but where a number is negative.
    virtual void gather(std::int32_t const* numbers, float const* source, float* target, std::int64_t rows,
                        std::int64_t width, Stream stream) = 0;
    virtual void scatter(std::int32_t const* numbers, float const* source, float* target, std::int64_t rows,
                         std::int64_t width, Stream stream) = 0;
    // float [images, C, H, W] to uint8 [images, height, width, C]; shape is (C, H, W), size (width, height).
    virtual void to_pixels(float const* picture, std::uint8_t* pixels, std::int64_t images,
                           std::array<std::int64_t, 3> const& shape, std::array<std::int64_t, 2> const& size,
                           Stream stream) = 0;
    virtual void latent_preview(float const* latent, float* picture, std::int64_t images,
                                std::array<std::int64_t, 3> const& shape, std::int64_t factor, Stream stream) = 0;
    // Sets the flag to 1 where a value is not finite.
    virtual void find_not_finite(float const* values, std::int64_t count, std::int32_t* flag, Stream stream) = 0;

    // What can give memory back when it is short, and whether it did.
    std::function<bool()> spare;
};

}  // namespace fdcn::impl
