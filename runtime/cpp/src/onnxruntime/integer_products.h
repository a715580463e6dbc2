// Whether ONNX Runtime's products of 8-bit integers are exact on this processor, found by computing one.
#pragma once

#include "onnxruntime/api.h"

namespace fdcn::impl {

// Whether sums of two products of uint8 and int8 end at 16 bits: see runtime/backends/integer_products.py.
bool integer_products_saturate(Ort::Env const& environment);

}  // namespace fdcn::impl
