// Jobs and pictures for tests that sample nothing.
#pragma once

#include <memory>
#include <string>

#include "pipeline/images.h"
#include "pipeline/job.h"

namespace fdcn::impl {

// A job of a size and so many images, called by a name.
inline Job job(std::string const& name, Size size = {8, 8}, std::size_t images = 1) {
    Job job{};
    job.request.size = size;
    job.request.solver = "euler";
    job.request.seeds.assign(images, 0);
    job.batch.size = size;
    job.batch.labels.assign(images, 0);
    job.batch.seeds.assign(images, 0);
    job.names.assign(images, name);
    return job;
}

inline Images pictures(Job const& job) {
    return Images(std::make_shared<Images::Data const>(job.request, job.names, job.batch.latent, Sampled{}, false));
}

}  // namespace fdcn::impl
