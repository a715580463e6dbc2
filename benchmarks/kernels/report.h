// A result as one line of JSON.
#pragma once

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "device.h"
#include "problem.h"

namespace fdcn {

inline std::string list(std::vector<double> const& numbers) {
    std::string text = "[";
    for (double const number : numbers) {
        char digits[32];
        std::snprintf(digits, sizeof digits, "%s%.4e", text.size() > 1 ? ", " : "", number);
        text += digits;
    }
    return text + "]";
}

// `fields` are the object's first members, as JSON.
inline void print_result(std::string const& fields, Problem const& problem, std::vector<int> const& cells,
                         Times const& times) {
    double const gathered = gathered_bytes(problem, cells);
    std::printf("{%s, \"gathered_bytes\": %.0f, \"compulsory_bytes\": %.0f", fields.c_str(), gathered,
                compulsory_bytes(problem));
    if (!times.resident.empty()) {
        std::vector<double> sorted = times.resident;
        std::sort(sorted.begin(), sorted.end());
        std::printf(", \"gathered_bytes_per_second\": %.4e", gathered / sorted[sorted.size() / 2]);
        std::printf(", \"resident_seconds\": %s", list(times.resident).c_str());
        std::printf(", \"cold_seconds\": %s", list(times.cold).c_str());
    }
    std::printf("}\n");
}

}  // namespace fdcn
