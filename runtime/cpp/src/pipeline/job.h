// One request on its way to pictures, and the batches that make it; others like it may share them: runtime/job.py.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "fdcn/fdcn.hpp"
#include "request/resolve.h"
#include "sampler/batch.h"
#include "sampler/sampler.h"

namespace fdcn::impl {

// A request and all its images as one batch, which need not be sampled at a time.
struct Job {
    Resolved request;
    Batch batch;
    std::vector<std::string> names;
    std::function<void(std::int64_t, std::int64_t)> progress;  // may be empty

    std::int64_t images() const { return static_cast<std::int64_t>(batch.labels.size()); }
};

// Pictures, or what went wrong.
using Outcome = std::variant<Images, std::exception_ptr>;

// Sample jobs that are alike: the pictures of each, or what its progress threw. Throws what concerns all of them.
std::vector<Outcome> sample(Sampler& sampler, std::vector<Job const*> const& jobs);

// A batch in parts that are sampled one after the other. Throws Error where the sampler takes none of it, or where
// results that stay on the device would be in parts.
std::vector<Batch> split(Sampler& sampler, Batch const& batch);

}  // namespace fdcn::impl
