// Text as code points, with the properties that Python's str knows of them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace fdcn::impl {

// UTF-8 as code points; what is none becomes U+FFFD.
std::u32string code_points(std::string_view utf8);
std::string utf8(std::u32string_view text);
std::u32string casefold(std::u32string_view text);
bool is_printable(char32_t c);
// Without white space at its ends: str.strip.
std::u32string_view stripped(std::u32string_view text);
// The value of a digit of any script, as '7' or '٧'.
std::optional<int> digit(char32_t c);

}  // namespace fdcn::impl
