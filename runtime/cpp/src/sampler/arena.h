// Modulations on the device: those of SlotCache's slots, made by the conditioner where they are missing.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "sampler/conditioning.h"
#include "sampler/holding.h"
#include "sampler/layout.h"
#include "sampler/network.h"

namespace fdcn::impl {

// All calls are made in the network's turn. What is given to the device's stream later may read a slot as soon as
// `slots` has returned, and until the next call.
class Arena {
public:
    explicit Arena(Network& network);

    // Widths of a row, in floats.
    std::int64_t modulation_width() const { return modulation_width_; }
    std::int64_t final_width() const { return final_width_; }
    // Where the slots lie, once `slots` was called.
    float const* modulations() const { return static_cast<float*>(modulations_.get()); }
    float const* finals() const { return static_cast<float*>(finals_.get()); }
    // How many distinct keys are held at a time.
    std::int64_t capacity() const { return cache_.capacity(); }

    // Slots of these keys, filled in the stream's order. Where some are missing, `ahead`'s are made too; the distinct
    // ones of both together are at most `capacity`.
    std::vector<std::int32_t> slots(std::vector<Key> const& keys, std::function<std::vector<Key>()> const& ahead);

private:
    void ready();
    void make(Product const& product);
    void run(std::vector<float> const& times, std::vector<std::int64_t> const& classes);

    Network& network_;
    Device& device_;
    Network::Conditioning const limits_;
    std::int64_t modulation_width_, final_width_;
    SlotCache cache_;
    Layout inputs_, made_;
    Span times_, classes_, numbers_, made_modulations_, made_finals_;
    Memory modulations_, finals_, made_block_;
    Pinned staged_;
    std::unique_ptr<Context> context_;
    std::int64_t runs_ = 0;
};

}  // namespace fdcn::impl
