// What is taken of a device and given back when its holder goes. The device is current then.
#pragma once

#include <cstddef>
#include <string>
#include <utility>

#include "sampler/device.h"

namespace fdcn::impl {

// Something of a device that `give_back` ends; at most one owner has it.
template <class Handle, void (Device::*give_back)(Handle) noexcept>
class Holding {
public:
    Holding() = default;
    Holding(Device& device, Handle handle) : device_(&device), handle_(handle) {}
    Holding(Holding&& other) noexcept : device_(std::exchange(other.device_, nullptr)), handle_(other.handle_) {}
    Holding& operator=(Holding other) noexcept {
        std::swap(device_, other.device_);
        std::swap(handle_, other.handle_);
        return *this;
    }
    ~Holding() {
        if (device_) (device_->*give_back)(handle_);
    }

    explicit operator bool() const { return device_; }
    Handle get() const { return handle_; }

private:
    Device* device_ = nullptr;
    Handle handle_ = {};
};

using Memory = Holding<void*, &Device::free>;
using Pinned = Holding<void*, &Device::free_pinned>;
using HeldStream = Holding<Stream, &Device::free_stream>;
using HeldEvent = Holding<Event, &Device::free_event>;

inline Memory allocated(Device& device, std::string const& what, std::size_t size) {
    return {device, device.allocate(what, size)};
}

inline Pinned allocated_pinned(Device& device, std::string const& what, std::size_t size) {
    return {device, device.allocate_pinned(what, size)};
}

}  // namespace fdcn::impl
