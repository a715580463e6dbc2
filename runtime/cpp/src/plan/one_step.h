// Euler's and Heun's methods, as ODE or SDE. Each table has m = 1.
#pragma once

#include <vector>

#include "plan/evaluations.h"
#include "tables.h"

namespace fdcn::impl {

// The last step is an ODE step: N evaluations.
std::vector<Evaluation> euler(int steps, double last_step, tables::Diffusion const& diffusion);
// The corrector's output is used again as the next predictor: N evaluations.
std::vector<Evaluation> heun(int steps, double last_step, tables::Diffusion const& diffusion);
// Two evaluations a step and an Euler step at the end: 2N - 1 evaluations.
std::vector<Evaluation> heun_exact(int steps, double last_step, tables::Diffusion const& diffusion);

}  // namespace fdcn::impl
