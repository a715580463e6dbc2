// What of a picture is shown: the arithmetic of runtime/images.py, with its roundings. For a GPU and for a CPU; a host
// build needs -ffp-contract=off.
#pragma once

#include "advance.h"

namespace fdcn {

// A value of a picture in about [-1, 1] as a byte. What is no number becomes 0.
FDCN_BOTH inline unsigned char level(float value) {
    float const rounded = rintf(product(sum(value, 1.0f), 127.5f));
    return rounded > 0.0f ? (rounded < 255.0f ? static_cast<unsigned char>(rounded) : 255) : 0;
}

// A value of a latent as its preview has it, in [-1, 1].
FDCN_BOTH inline float shade(float value) {
    float const shown = value / 3.0f;
    return shown < -1.0f ? -1.0f : shown > 1.0f ? 1.0f : shown;
}

}  // namespace fdcn
