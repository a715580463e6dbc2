// Several tensors in one block of memory, on the device or on the host.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fdcn::impl {

// One tensor's place in a block.
struct Span {
    std::size_t offset = 0, bytes = 0;

    void* in(void* block) const { return static_cast<char*>(block) + offset; }
};

class Layout {
public:
    // What TensorRT wants of a tensor's address; a device's own blocks begin so.
    static constexpr std::size_t kAlignment = 256;

    template <class T>
    Span add(std::int64_t count) {
        Span const span{size_, sizeof(T) * static_cast<std::size_t>(count)};
        size_ += (span.bytes + kAlignment - 1) / kAlignment * kAlignment;
        return span;
    }

    std::size_t size() const { return size_; }

private:
    std::size_t size_ = 0;
};

}  // namespace fdcn::impl
