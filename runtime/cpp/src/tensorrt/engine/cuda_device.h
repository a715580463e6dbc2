// One GPU through CUDA's runtime: its memory, a stream of its own, and CUDA graphs: runtime/backends/device.py.
#pragma once

#include "sampler/device.h"
#include "tensorrt/gpu.h"

namespace fdcn::impl {

class CudaDevice final : public Device {
public:
    // `driver` is the one that told of the GPU.
    CudaDevice(Gpu const& gpu, Driver const& driver);
    ~CudaDevice() override;
    CudaDevice(CudaDevice const&) = delete;
    CudaDevice& operator=(CudaDevice const&) = delete;

    int ordinal() const { return ordinal_; }
    // Where memory lies that is not this GPU's; none for this GPU's.
    std::optional<std::string> elsewhere(void const* memory);

    std::shared_ptr<void> current() override;
    bool asynchronous() const override { return true; }

    std::size_t free_memory() override;
    std::size_t total_memory() override;
    void* allocate(std::string const& what, std::size_t size) override;
    void free(void* memory) noexcept override;
    void* allocate_pinned(std::string const& what, std::size_t size) override;
    void free_pinned(void* memory) noexcept override;
    void copy(std::string const& what, void* to, void const* from, std::size_t size, Copy kind,
              Stream stream) override;
    void clear(void* memory, std::size_t size, Stream stream) override;

    Stream stream() override { return stream_; }
    Stream new_stream() override;
    void free_stream(Stream stream) noexcept override;
    Event new_event() override;
    void free_event(Event event) noexcept override;
    void record(Event event, Stream stream) override;
    void wait(Event event, std::string const& doing) override;
    void follow(Stream other) override;
    void synchronize(std::string const& doing) override;
    std::unique_ptr<Recording> recorded(Stream stream, std::function<void(Stream)> const& work) override;

    void begin(float const* noise, unsigned long long const* seeds, float* base, float* point, float* latent,
               std::int64_t images, std::int64_t elements, int passes, Stream stream) override;
    void advance(Advance const& advance, Stream stream) override;
    void gather(std::int32_t const* numbers, float const* source, float* target, std::int64_t rows,
                std::int64_t width, Stream stream) override;
    void scatter(std::int32_t const* numbers, float const* source, float* target, std::int64_t rows,
                 std::int64_t width, Stream stream) override;
    void to_pixels(float const* picture, std::uint8_t* pixels, std::int64_t images,
                   std::array<std::int64_t, 3> const& shape, std::array<std::int64_t, 2> const& size,
                   Stream stream) override;
    void latent_preview(float const* latent, float* picture, std::int64_t images,
                        std::array<std::int64_t, 3> const& shape, std::int64_t factor, Stream stream) override;
    void find_not_finite(float const* values, std::int64_t count, std::int32_t* flag, Stream stream) override;

private:
    Driver const& driver_;
    int ordinal_;
    void* context_;
    Stream stream_ = nullptr;
};

}  // namespace fdcn::impl
