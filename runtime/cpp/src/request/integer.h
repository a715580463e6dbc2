// Whole numbers of any length, as texts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace fdcn::impl {

struct Integer {
    bool negative;
    std::string digits;  // without zeros in front; "0" for zero

    std::string text() const { return (negative ? "-" : "") + digits; }
    // Itself where it is one of 0 to `most`.
    std::optional<std::int64_t> within(std::int64_t most) const;
    // Modulo 2^64.
    std::uint64_t wrapped() const;
};

// What Python's int() reads: white space, a sign, digits of any script with single underscores between them. None where
// it raises ValueError.
std::optional<Integer> read_integer(std::string_view text);

}  // namespace fdcn::impl
