#include "request/integer.h"

#include <algorithm>

#include "text/unicode_text.h"

namespace fdcn::impl {
namespace {

// More are refused by Python, for the time that they take.
constexpr std::size_t kMostDigits = 4300;

// What may stand around a number: of ASCII's separators, which str.strip takes, int() takes none.
std::u32string_view without_space(std::u32string_view text) {
    constexpr std::u32string_view kSeparators = U"\x1c\x1d\x1e\x1f";
    std::u32string_view const bare = stripped(text);
    std::size_t const before = static_cast<std::size_t>(bare.data() - text.data());
    for (char32_t const c : text.substr(0, before))
        if (kSeparators.find(c) != kSeparators.npos) return {};
    for (char32_t const c : text.substr(before + bare.size()))
        if (kSeparators.find(c) != kSeparators.npos) return {};
    return bare;
}

}  // namespace

std::optional<std::int64_t> Integer::within(std::int64_t most) const {
    if (negative || digits.size() > std::to_string(most).size()) return std::nullopt;
    std::uint64_t const value = wrapped();
    return value <= static_cast<std::uint64_t>(most) ? std::optional<std::int64_t>(value) : std::nullopt;
}

std::uint64_t Integer::wrapped() const {
    std::uint64_t value = 0;
    for (char const c : digits) value = 10 * value + static_cast<std::uint64_t>(c - '0');
    return negative ? 0 - value : value;
}

std::optional<Integer> read_integer(std::string_view text) {
    std::u32string const whole = code_points(text);
    std::u32string_view rest = without_space(whole);
    bool const negative = !rest.empty() && rest[0] == U'-';
    if (negative || (!rest.empty() && rest[0] == U'+')) rest.remove_prefix(1);
    std::string digits;
    bool after_digit = false;
    for (char32_t const c : rest) {
        std::optional<int> const value = digit(c);
        if (!value && !(c == U'_' && after_digit)) return std::nullopt;
        if (value) digits += static_cast<char>('0' + *value);
        after_digit = value.has_value();
    }
    if (!after_digit || digits.size() > kMostDigits) return std::nullopt;
    digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size() - 1));
    return Integer{negative && digits != "0", digits};
}

}  // namespace fdcn::impl
