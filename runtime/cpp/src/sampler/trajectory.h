// The work of one shape of batch, from its numbers to its pictures: memory, contexts, and the recording of it all.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "sampler/arena.h"
#include "sampler/batch_shape.h"
#include "sampler/holding.h"
#include "sampler/layout.h"
#include "sampler/network.h"
#include "sampler/picture.h"
#include "sampler/run_tables.h"

namespace fdcn::impl {

// Everything that a batch of one shape needs on the device and beside it, for one run at a time. A run is `fill`, then
// `launch`, or `begin`, each `row` in order and `finish`; then results, when all that is done. Made and called in the
// network's turn, but for `capture` and results; the device is current when it goes.
class Trajectory {
public:
    // Throws OutOfMemory, for all of it together, and Error where the network does not take it.
    Trajectory(Network& network, Arena const& arena, BatchShape const& shape);

    BatchShape const& shape() const { return shape_; }
    std::size_t bytes() const { return layout_.size() + recording_bytes_; }  // of the device's memory
    std::int64_t channels() const { return picture_.channels(); }            // of pixels
    bool captured() const { return recording_ != nullptr; }                  // whether `launch` can be called
    bool refused = false;                                                    // whether `capture` failed
    Event event(std::size_t number) const { return events_[number % 2].get(); }

    // Take a batch's numbers and noise, which must stay until the run is done; slots come with `place_slots`.
    void fill(Batch const& batch);
    // Say where the modulations of row `r` lie.
    void place_slots(std::size_t r, std::int32_t const* slots, std::size_t count);
    // Send the slots of row `r` alone, where `begin` has not.
    void upload_slots(std::size_t r, Stream stream);

    // Send the numbers with the slots of the first `rows` rows, and make the first point.
    void begin(std::size_t rows, Stream stream);
    // Evaluate the network at row `r` and advance; with the final latents that this predicts, if asked.
    void row(std::size_t r, Stream stream, bool predicted);
    // From the last point to the results in the host's memory.
    void finish(Stream stream);
    // Pixels of what the last row predicted, to the host's memory, where `pixels` finds them when that is done.
    void preview(Stream stream);

    // Record the whole run, which has been done once. Throws what keeps it from being recorded.
    void capture(Stream stream);
    // Do it on the device's stream as one recording.
    void launch() { recording_->launch(); }

    // As the run left them in the host's memory, until the next one.
    float const* latents() const { return got<float>(read_point_); }
    std::uint8_t const* pixels() const { return got<std::uint8_t>(read_pixels_); }
    bool wrong() const { return *got<std::int32_t>(read_wrong_) != 0; }  // a value is not finite
    std::size_t latents_bytes() const { return point_.bytes; }
    std::size_t pixels_bytes() const { return pixels_.bytes; }
    // Where they lie on the device until then.
    float const* device_latents() const { return at<float>(point_); }
    std::uint8_t const* device_pixels() const { return at<std::uint8_t>(pixels_); }

private:
    using ContextKey = std::pair<std::string, std::int64_t>;  // graph and rows

    void make_contexts();
    void lay_out();
    void bind();
    void fetch(Span const& from, Span const& to, Stream stream);

    template <class T>
    T* at(Span const& span) const {
        return static_cast<T*>(span.in(memory_.get()));
    }
    template <class T>
    T* got(Span const& span) const {
        return static_cast<T*>(span.in(got_.get()));
    }
    void* device_tables() const { return tables_block_.in(memory_.get()); }

    Network& network_;
    Arena const& arena_;
    Device& device_;
    BatchShape const shape_;
    std::int64_t const blocks_;
    RunTables const tables_;
    Layout layout_, read_;
    Span tables_block_, latent_, velocity_, modulation_, final_, s_max_, base_, point_, predicted_, history_, wrong_;
    Span noise_, pixels_, read_point_, read_pixels_, read_wrong_;
    Memory memory_;
    Pinned given_, got_;
    HeldEvent events_[2];
    Picture picture_;
    std::map<ContextKey, std::unique_ptr<Context>> contexts_;  // a recording holds one shape of a context alone
    std::unique_ptr<Recording> recording_;
    std::size_t recording_bytes_ = 0;
};

}  // namespace fdcn::impl
