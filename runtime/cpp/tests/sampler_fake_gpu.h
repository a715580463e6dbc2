// A GPU over the host's memory.
#pragma once

#include <atomic>
#include <cstring>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "sampler/host_device.h"
#include "sampler/out_of_memory.h"

namespace fdcn::impl {

using Work = std::function<void()>;

// Work is done when somebody waits for it and no earlier, memory starts as NaN, and what is taken is counted.
class FakeGpu : public HostDevice {
public:
    std::atomic<std::size_t> most{std::size_t{1} << 30};
    bool refuses_recording = false;
    std::atomic<int> launches{0};
    std::vector<Stream> followed;

    ~FakeGpu() override {
        if (!left().empty()) std::terminate();
    }

    // What was not given back.
    std::string left() const {
        std::string text;
        for (auto const& [name, number] : taken_)
            if (number) text += name + " ";
        return text;
    }

    bool asynchronous() const override { return true; }
    std::shared_ptr<void> current() override {
        ++current_of_thread();
        return {this, [](void*) { --current_of_thread(); }};
    }
    std::size_t free_memory() override { return most - bytes_; }
    std::size_t total_memory() override { return most; }

    void* allocate(std::string const& what, std::size_t size) override {
        check_current();
        if (size > free_memory() && !(spare && spare() && size <= free_memory()))
            throw OutOfMemory(what, size, free_memory());
        auto const lock = locked();
        void* const memory = take("memory", HostDevice::allocate(what, size));
        std::memset(memory, 0xFF, size);
        sizes_[memory] = size;
        bytes_ += size;
        return memory;
    }
    void free(void* memory) noexcept override {
        synchronize("");
        auto const lock = locked();
        --taken_["memory"];
        bytes_ -= sizes_.at(memory);
        sizes_.erase(memory);
        HostDevice::free(memory);
    }
    void* allocate_pinned(std::string const& what, std::size_t size) override {
        auto const lock = locked();
        return take("pinned", HostDevice::allocate(what, size));
    }
    void free_pinned(void* memory) noexcept override {
        auto const lock = locked();
        --taken_["pinned"];
        HostDevice::free(memory);
    }

    void copy(std::string const& what, void* to, void const* from, std::size_t size, Copy kind,
              Stream stream) override {
        give(stream, [=] { HostDevice::copy(what, to, from, size, kind, nullptr); });
    }
    void clear(void* memory, std::size_t size, Stream stream) override {
        give(stream, [=] { HostDevice::clear(memory, size, nullptr); });
    }

    Stream stream() override { return this; }
    Stream new_stream() override {
        auto const lock = locked();
        return take("stream", new char);
    }
    void free_stream(Stream stream) noexcept override {
        auto const lock = locked();
        --taken_["stream"];
        delete static_cast<char*>(stream);
    }
    Event new_event() override {
        auto const lock = locked();
        return take("event", new std::atomic<int>(0));
    }
    void free_event(Event event) noexcept override {
        auto const lock = locked();
        --taken_["event"];
        delete static_cast<std::atomic<int>*>(event);
    }
    void record(Event event, Stream stream) override {
        auto* const pending = static_cast<std::atomic<int>*>(event);
        ++*pending;
        give(stream, [pending] { --*pending; });
    }
    void wait(Event event, std::string const&) override {
        auto const lock = locked();
        while (*static_cast<std::atomic<int>*>(event)) run_one();
    }
    void follow(Stream other) override { followed.push_back(other); }
    void synchronize(std::string const&) override {
        auto const lock = locked();
        while (!queue_.empty()) run_one();
    }

    std::unique_ptr<Recording> recorded(Stream stream, std::function<void(Stream)> const& work) override;

    void begin(float const* noise, unsigned long long const* seeds, float* base, float* point, float* latent,
               std::int64_t images, std::int64_t elements, int passes, Stream stream) override {
        give(stream,
             [=] { HostDevice::begin(noise, seeds, base, point, latent, images, elements, passes, nullptr); });
    }
    void advance(Advance const& advance, Stream stream) override {
        give(stream, [=] { HostDevice::advance(advance, nullptr); });
    }
    void gather(std::int32_t const* numbers, float const* source, float* target, std::int64_t rows, std::int64_t width,
                Stream stream) override {
        give(stream, [=] { HostDevice::gather(numbers, source, target, rows, width, nullptr); });
    }
    void scatter(std::int32_t const* numbers, float const* source, float* target, std::int64_t rows,
                 std::int64_t width, Stream stream) override {
        give(stream, [=] { HostDevice::scatter(numbers, source, target, rows, width, nullptr); });
    }
    void to_pixels(float const* picture, std::uint8_t* pixels, std::int64_t images,
                   std::array<std::int64_t, 3> const& shape, std::array<std::int64_t, 2> const& size,
                   Stream stream) override {
        give(stream, [=] { HostDevice::to_pixels(picture, pixels, images, shape, size, nullptr); });
    }
    void latent_preview(float const* latent, float* picture, std::int64_t images,
                        std::array<std::int64_t, 3> const& shape, std::int64_t factor, Stream stream) override {
        give(stream, [=] { HostDevice::latent_preview(latent, picture, images, shape, factor, nullptr); });
    }
    void find_not_finite(float const* values, std::int64_t count, std::int32_t* flag, Stream stream) override {
        give(stream, [=] { HostDevice::find_not_finite(values, count, flag, nullptr); });
    }

    // Work for a stream: the device's own, or the one that is being recorded.
    void give(Stream stream, Work work) {
        check_current();
        auto const lock = locked();
        if (stream == this)
            queue_.push_back(std::move(work));
        else
            recording_.push_back(std::move(work));
    }

private:
    static int& current_of_thread() {
        thread_local int depth = 0;
        return depth;
    }
    static void check_current() {
        if (!current_of_thread()) throw std::logic_error("no device is current");
    }
    std::unique_lock<std::recursive_mutex> locked() { return std::unique_lock<std::recursive_mutex>(working_); }
    void run_one() {
        if (queue_.empty()) throw std::logic_error("an event was waited for that nothing will record");
        Work const work = std::move(queue_.front());
        queue_.pop_front();
        work();
    }
    template <class T>
    T* take(char const* what, T* thing) {
        ++taken_[what];
        return thing;
    }

    std::recursive_mutex working_;
    std::deque<Work> queue_;
    std::vector<Work> recording_;
    std::map<std::string, int> taken_;
    std::map<void*, std::size_t> sizes_;
    std::atomic<std::size_t> bytes_{0};

    friend class FakeRecording;
};

class FakeRecording : public Recording {
public:
    FakeRecording(FakeGpu& gpu, std::vector<Work> work) : gpu_(gpu), work_(std::move(work)) {}
    void launch() override {
        ++gpu_.launches;
        for (Work const& one : work_) gpu_.give(gpu_.stream(), one);
    }

private:
    FakeGpu& gpu_;
    std::vector<Work> const work_;
};

inline std::unique_ptr<Recording> FakeGpu::recorded(Stream stream, std::function<void(Stream)> const& work) {
    if (refuses_recording) throw std::runtime_error("operation not permitted when capturing");
    recording_.clear();
    work(stream);
    return std::make_unique<FakeRecording>(*this, std::move(recording_));
}

}  // namespace fdcn::impl
