// What Images holds: runtime/images.py.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fdcn/fdcn.hpp"
#include "request/resolve.h"
#include "sampler/batch.h"

namespace fdcn {

struct Images::Data {
    Data(impl::Resolved request, std::vector<std::string> names, std::array<std::int64_t, 3> const& latent,
         impl::Sampled sampled, bool on_device);

    std::int64_t count() const { return static_cast<std::int64_t>(names.size()); }
    // The pixels of one picture. Throws Error where there is none, or it is on the GPU.
    std::uint8_t const* picture(std::int64_t image) const;

    impl::Resolved request;  // without the noise, which is its caller's
    std::vector<std::string> names;
    std::array<std::int64_t, 4> latent_shape;
    impl::Sampled sampled;
    bool on_device;
    std::string parameters;
};

namespace impl {

// What made pictures of a request, as Python's json.dumps writes it: all of them, or one alone.
std::string parameters(Resolved const& request, std::vector<std::string> const& names);
std::string parameters_of_one(Resolved const& request, std::vector<std::string> const& names, std::int64_t image);

}  // namespace impl
}  // namespace fdcn
