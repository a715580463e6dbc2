#include "sampler/run.h"

#include <algorithm>
#include <set>
#include <utility>

#include "messages.h"

namespace fdcn::impl {

namespace {

// Memory of a device, given back when nobody refers to it, whatever has become of the pipeline.
template <class T>
std::shared_ptr<T const> kept(std::shared_ptr<Device> const& device, char const* what, std::size_t size) {
    auto const give_back = [device](T const* memory) {
        try {
            auto const current = device->current();
            device->free(const_cast<T*>(memory));
        } catch (std::exception const&) {
            // The driver has ended, and the memory with it.
        }
    };
    return {static_cast<T*>(device->allocate(what, size)), give_back};
}

// A copy of what the next run overwrites.
template <class T>
std::shared_ptr<T const> copied(T const* from, std::size_t bytes) {
    auto const values = std::make_shared<std::vector<T>>(from, from + bytes / sizeof(T));
    return {values, values->data()};
}

}  // namespace

Run::Run(Network& network, Arena& arena, Trajectory& trajectory, Batch const& batch)
    : network_(network), arena_(arena), trajectory_(trajectory), batch_(batch), device_(*network.device()) {
    std::set<Key> distinct;
    for (PlanRow const& row : batch.plan->rows) {
        keys_.push_back(row_keys(row, batch.labels, batch.null));
        distinct.insert(keys_.back().begin(), keys_.back().end());
    }
    fits_ = static_cast<std::int64_t>(distinct.size()) <= arena.capacity();
    if (batch.on_device) {
        auto const current = device_.current();
        kept_latents_ = kept<float>(network.device(), "latents", trajectory.latents_bytes());
        kept_pixels_ = kept<std::uint8_t>(network.device(), "pixels", trajectory.pixels_bytes());
    }
}

Sampled Run::sampled(Done const& done) {
    start();
    std::vector<std::vector<std::uint8_t>> previews;
    if (trajectory_.captured() && fits_ && !batch_.preview_every)
        at_once();
    else
        previews = row_by_row(done);
    device_.wait(trajectory_.event(0), doing());
    done(static_cast<std::int64_t>(keys_.size()));
    if (trajectory_.wrong()) throw Error(messages::sampling::not_finite());
    Trajectory const& t = trajectory_;
    return {batch_.on_device ? kept_latents_ : copied(t.latents(), t.latents_bytes()),
            batch_.on_device ? kept_pixels_ : copied(t.pixels(), t.pixels_bytes()), t.channels(), std::move(previews)};
}

void Run::warm_up() {
    // The rows up to the last that is the first of its kind: mostly the very first.
    auto const& rows = trajectory_.shape().rows;
    std::size_t last = 0;
    for (std::size_t r = 1; r < rows.size(); ++r)
        if (std::find(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(r), rows[r]) ==
            rows.begin() + static_cast<std::ptrdiff_t>(r))
            last = r;
    start();
    for (std::size_t r = 0; r <= last; ++r) give_row(r, false);
    finish();
    device_.wait(trajectory_.event(0), doing());
}

void Run::start() {
    Network::Turn const turn(network_);
    if (batch_.stream) device_.follow(*batch_.stream);
    trajectory_.fill(batch_);
}

// Give the device all of it, as one recording.
void Run::at_once() {
    Network::Turn const turn(network_);
    std::vector<Key> everything;
    for (auto const& keys : keys_) everything.insert(everything.end(), keys.begin(), keys.end());
    auto const slots = arena_.slots(everything, [] { return std::vector<Key>(); });
    auto const* of_row = slots.data();
    for (std::size_t r = 0; r < keys_.size(); ++r) {
        trajectory_.place_slots(r, of_row, keys_[r].size());
        of_row += keys_[r].size();
    }
    trajectory_.launch();
    end();
}

// Give it to the device a row at a time, one ahead of what is done where it works meanwhile; gives the previews. Other
// threads' work may come between the rows.
std::vector<std::vector<std::uint8_t>> Run::row_by_row(Done const& done) {
    std::vector<std::vector<std::uint8_t>> previews;
    std::size_t const rows = keys_.size(), ahead = device_.asynchronous() ? 1 : 0;
    for (std::size_t r = 0; r < rows; ++r) {
        bool const shown = batch_.preview_every && r + 1 < rows &&
                           static_cast<std::int64_t>(r + 1) % batch_.preview_every == 0;
        give_row(r, shown);
        if (r >= ahead && r - ahead + 1 < rows) {
            device_.wait(trajectory_.event(r - ahead), doing());
            done(static_cast<std::int64_t>(r - ahead + 1));
        }
        if (shown) {
            device_.wait(trajectory_.event(r), doing());
            std::uint8_t const* const pixels = trajectory_.pixels();
            previews.emplace_back(pixels, pixels + trajectory_.pixels_bytes());
        }
    }
    finish();
    return previews;
}

void Run::finish() {
    Network::Turn const turn(network_);
    trajectory_.finish(device_.stream());
    end();
}

void Run::give_row(std::size_t r, bool shown) {
    Network::Turn const turn(network_);
    condition(r);
    trajectory_.row(r, device_.stream(), shown);
    if (shown) trajectory_.preview(device_.stream());
    device_.record(trajectory_.event(r), device_.stream());
}

// Have the modulations of row `r` where the device finds them, and begin with row 0.
void Run::condition(std::size_t r) {
    auto const slots = arena_.slots(keys_[r], [&] { return ahead_of(r); });
    trajectory_.place_slots(r, slots.data(), slots.size());
    if (r)
        trajectory_.upload_slots(r, device_.stream());
    else
        trajectory_.begin(1, device_.stream());
}

// The keys of the rows that follow, as many as there is room for.
std::vector<Key> Run::ahead_of(std::size_t r) const {
    std::set<Key> room(keys_[r].begin(), keys_[r].end());
    std::vector<Key> keys;
    for (std::size_t following = r + 1; following < keys_.size(); ++following) {
        room.insert(keys_[following].begin(), keys_[following].end());
        if (static_cast<std::int64_t>(room.size()) > arena_.capacity()) break;
        keys.insert(keys.end(), keys_[following].begin(), keys_[following].end());
    }
    return keys;
}

// Copy results that stay on the device to their own memory; then the first event marks the end.
void Run::end() {
    auto const keep = [&](auto const& memory, auto const* from, std::size_t bytes) {
        if (memory)
            device_.copy("results", const_cast<void*>(static_cast<void const*>(memory.get())), from, bytes,
                         Copy::kWithin, device_.stream());
    };
    keep(kept_latents_, trajectory_.device_latents(), trajectory_.latents_bytes());
    keep(kept_pixels_, trajectory_.device_pixels(), trajectory_.pixels_bytes());
    device_.record(trajectory_.event(0), device_.stream());
}

std::string Run::doing() const { return "sampling " + std::to_string(batch_.labels.size()) + " images"; }

}  // namespace fdcn::impl
