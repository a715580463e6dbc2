// The host as a device: work is done when a call returns, and there is one stream.
#pragma once

#include "sampler/device.h"

namespace fdcn::impl {

class HostDevice : public Device {
public:
    std::shared_ptr<void> current() override { return nullptr; }
    bool asynchronous() const override { return false; }

    std::size_t free_memory() override;
    std::size_t total_memory() override;
    // Throws std::bad_alloc where the system has no more.
    void* allocate(std::string const& what, std::size_t size) override;
    void free(void* memory) noexcept override;
    void* allocate_pinned(std::string const& what, std::size_t size) override { return allocate(what, size); }
    void free_pinned(void* memory) noexcept override { free(memory); }
    void copy(std::string const& what, void* to, void const* from, std::size_t size, Copy kind,
              Stream stream) override;
    void clear(void* memory, std::size_t size, Stream stream) override;

    Stream stream() override { return nullptr; }
    Stream new_stream() override { return nullptr; }
    void free_stream(Stream) noexcept override {}
    Event new_event() override { return nullptr; }
    void free_event(Event) noexcept override {}
    void record(Event, Stream) override {}
    void wait(Event, std::string const&) override {}
    void follow(Stream) override {}
    void synchronize(std::string const&) override {}
    std::unique_ptr<Recording> recorded(Stream, std::function<void(Stream)> const&) override { return nullptr; }

    void begin(float const* noise, unsigned long long const* seeds, float* base, float* point, float* latent,
               std::int64_t images, std::int64_t elements, int passes, Stream stream) override;
    void advance(Advance const& advance, Stream stream) override;
    void gather(std::int32_t const* numbers, float const* source, float* target, std::int64_t rows, std::int64_t width,
                Stream stream) override;
    void scatter(std::int32_t const* numbers, float const* source, float* target, std::int64_t rows,
                 std::int64_t width, Stream stream) override;
    void to_pixels(float const* picture, std::uint8_t* pixels, std::int64_t images,
                   std::array<std::int64_t, 3> const& shape, std::array<std::int64_t, 2> const& size,
                   Stream stream) override;
    void latent_preview(float const* latent, float* picture, std::int64_t images,
                        std::array<std::int64_t, 3> const& shape, std::int64_t factor, Stream stream) override;
    void find_not_finite(float const* values, std::int64_t count, std::int32_t* flag, Stream stream) override;
};

}  // namespace fdcn::impl
