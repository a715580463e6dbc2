// Linear multi-step methods: N evaluations.
#pragma once

#include <vector>

#include "plan/evaluations.h"
#include "tables.h"

namespace fdcn::impl {

// Adams-Bashforth of an order on a uniform grid, with lower orders to start it; m = order.
std::vector<Evaluation> adams(int steps, int order);
// A searched solver of the FlowDCN release; m = N.
std::vector<Evaluation> neural(tables::Neural const& table);

}  // namespace fdcn::impl
