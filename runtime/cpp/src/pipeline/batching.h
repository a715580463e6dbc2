// Which of the waiting jobs are sampled together: runtime/batching.py.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "pipeline/job.h"

namespace fdcn::impl {

// Whether two jobs may share a batch: their plan and size are the same, and no arrays or device are one's own.
bool alike(Job const& one, Job const& other);

// The positions of the jobs to sample next, in order: whole ones, `together` images at most.
// The oldest, the first, is always among them, so that none waits for ever; it is alone where it has more images than
// that. Each later one like it comes along while it fits.
std::vector<std::size_t> choose(std::vector<Job const*> const& waiting, std::int64_t together);

}  // namespace fdcn::impl
