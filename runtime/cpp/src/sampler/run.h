// One batch on its way through a trajectory.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "sampler/arena.h"
#include "sampler/sampler.h"
#include "sampler/trajectory.h"

namespace fdcn::impl {

// A batch, and the trajectory that is this run's alone.
class Run {
public:
    Run(Network& network, Arena& arena, Trajectory& trajectory, Batch const& batch);

    // Whether the modulations of all rows can be there at once, as a recording needs them.
    bool fits() const { return fits_; }
    // Do it, and wait for it. Throws Error for a result that is not finite, and what `done` throws.
    Sampled sampled(Done const& done);
    // Use each context once, and make a picture of what comes of it.
    void warm_up();

private:
    void start();
    void at_once();
    std::vector<std::vector<std::uint8_t>> row_by_row(Done const& done);
    void give_row(std::size_t r, bool shown);
    void condition(std::size_t r);
    std::vector<Key> ahead_of(std::size_t r) const;
    void finish();
    void end();
    std::string doing() const;

    Network& network_;
    Arena& arena_;
    Trajectory& trajectory_;
    Batch const& batch_;
    Device& device_;
    std::vector<std::vector<Key>> keys_;  // of each row
    bool fits_;
    std::shared_ptr<float const> kept_latents_;  // results that stay on the device
    std::shared_ptr<std::uint8_t const> kept_pixels_;
};

}  // namespace fdcn::impl
