// How much memory of the host a run may take: runtime/memory.py.
#pragma once

#include <cstdint>
#include <optional>

namespace fdcn::impl {

// Bytes that can be had without swapping, within the limits of a container; none where the system does not say.
std::optional<std::int64_t> available_bytes();

}  // namespace fdcn::impl
