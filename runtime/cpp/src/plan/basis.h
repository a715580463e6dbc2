// Arithmetic on a solver's coefficients. NumPy rounds each operation, and so does this.
#pragma once

#include <cstddef>

#include "plan/evaluations.h"

namespace fdcn::impl {

inline Vector operator+(Vector a, Vector const& b) {
    for (std::size_t i = 0; i < a.size(); ++i) a[i] += b[i];
    return a;
}

inline Vector operator-(Vector a, Vector const& b) {
    for (std::size_t i = 0; i < a.size(); ++i) a[i] -= b[i];
    return a;
}

inline Vector operator*(double factor, Vector a) {
    for (double& number : a) number = factor * number;
    return a;
}

inline Vector operator/(Vector a, double divisor) {
    for (double& number : a) number /= divisor;
    return a;
}

// Unit vectors of a table with m outputs of history.
struct Basis {
    explicit Basis(int history) : history(history), base(unit(0)), point(unit(1)) {}

    Vector v(int k) const { return unit(2 + k); }
    Vector n(int k) const { return unit(2 + history + k); }

    int history;
    Vector base, point;

private:
    Vector unit(int place) const {
        Vector result(static_cast<std::size_t>(history) + 4);
        result[static_cast<std::size_t>(place)] = 1.0;
        return result;
    }
};

}  // namespace fdcn::impl
