// The numbers of a run, as they lie on the device: what a recorded trajectory reads anew at each launch.
#pragma once

#include <cstdint>
#include <vector>

#include "sampler/batch_shape.h"
#include "sampler/layout.h"

namespace fdcn::impl {

// How many float32 numbers the kernels read of a row of a plan: see Row of native/advance.h.
int row_numbers(int history);

// What a trajectory of R rows needs, each of at most `most` rows of the network. Blocks of memory are the callers'.
class RunTables {
public:
    RunTables(BatchShape const& shape, std::int64_t blocks);

    std::size_t size() const { return layout_.size(); }
    // Of the block's beginning, with the slots of the first `rows` rows: they lie behind all else.
    std::size_t size(std::size_t rows) const { return slots_.offset + rows * slots_bytes(); }

    unsigned long long const* seeds(void* block) const;           // [images]
    float const* numbers(void* block, std::size_t row) const;     // [row_numbers]
    float const* s_max(void* block) const;                        // [R, blocks·2]
    // By which s_max is repeated: every entry is the row's own number.
    std::int32_t const* own(void* block, std::size_t row) const;  // [most]
    std::int32_t* slots(void* block, std::size_t row) const;      // of the modulations, [most]
    std::size_t slots_bytes() const { return slots_.bytes / rows_; }

    // Write everything but the slots, which are the arena's to say, into a block of the host's memory.
    void fill(void* block, Batch const& batch) const;

private:
    std::size_t rows_;
    Layout layout_;
    Span seeds_, numbers_, s_max_, own_, slots_;
};

}  // namespace fdcn::impl
