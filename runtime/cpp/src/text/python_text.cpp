#include "text/python_text.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "text/unicode_text.h"

namespace fdcn::impl {
namespace {

// A character that Python shows by its number.
std::string escaped(char32_t c) {
    constexpr char kDigits[] = "0123456789abcdef";
    int const digits = c <= 0xff ? 2 : c <= 0xffff ? 4 : 8;
    std::string text = digits == 2 ? "\\x" : digits == 4 ? "\\u" : "\\U";
    for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) text += kDigits[c >> shift & 15];
    return text;
}

// Significant digits and the place of the point among them: 0.04 has digits "4" and point -1, 25.0 "25" and 2.
struct Decimal {
    std::string digits;
    int point;
};

Decimal shortest(double magnitude) {
    char text[32];
    auto const end = std::to_chars(text, text + sizeof text, magnitude, std::chars_format::scientific).ptr;
    std::string_view const written(text, static_cast<std::size_t>(end - text));
    std::size_t const e = written.find('e');
    Decimal result{std::string(1, written[0]), 0};
    if (e > 2) result.digits += written.substr(2, e - 2);
    std::string_view const exponent = written.substr(e + 2);
    std::from_chars(exponent.data(), exponent.data() + exponent.size(), result.point);
    result.point = (written[e + 1] == '-' ? -result.point : result.point) + 1;
    return result;
}

std::string scientific(Decimal const& decimal) {
    int const exponent = decimal.point - 1;
    std::string text = decimal.digits.substr(0, 1);
    if (decimal.digits.size() > 1) text += "." + decimal.digits.substr(1);
    std::string const number = std::to_string(std::abs(exponent));
    return text + (exponent < 0 ? "e-" : "e+") + (number.size() < 2 ? "0" : "") + number;
}

std::string positional(Decimal const& decimal) {
    auto const& [digits, point] = decimal;
    int const count = static_cast<int>(digits.size());
    if (point <= 0) return "0." + std::string(static_cast<std::size_t>(-point), '0') + digits;
    if (point >= count) return digits + std::string(static_cast<std::size_t>(point - count), '0') + ".0";
    return digits.substr(0, static_cast<std::size_t>(point)) + "." + digits.substr(static_cast<std::size_t>(point));
}

}  // namespace

std::string repr(std::string_view text) {
    char const quote = text.find('\'') != text.npos && text.find('"') == text.npos ? '"' : '\'';
    std::string result(1, quote);
    for (char32_t const c : code_points(text)) {
        constexpr std::u32string_view kNamed = U"\n\r\t";
        if (c == U'\\' || c == static_cast<char32_t>(quote)) {
            result += '\\';
            result += static_cast<char>(c);
        } else if (std::size_t const place = kNamed.find(c); place != kNamed.npos) {
            result += '\\';
            result += "nrt"[place];
        } else {
            result += is_printable(c) ? utf8(std::u32string_view(&c, 1)) : escaped(c);
        }
    }
    return result += quote;
}

std::string str(double number) {
    if (std::isnan(number)) return "nan";
    std::string const sign = std::signbit(number) ? "-" : "";
    if (std::isinf(number)) return sign + "inf";
    Decimal const decimal = shortest(std::fabs(number));
    return sign + (decimal.point > 16 || decimal.point < -3 ? scientific(decimal) : positional(decimal));
}

std::string list(std::vector<std::int64_t> const& numbers) {
    std::vector<std::string> texts;
    for (std::int64_t const number : numbers) texts.push_back(std::to_string(number));
    return "[" + joined(texts, ", ") + "]";
}

std::string joined(std::vector<std::string> const& texts, std::string_view between) {
    std::string result;
    for (std::size_t i = 0; i < texts.size(); ++i) {
        if (i > 0) result += between;
        result += texts[i];
    }
    return result;
}

std::string format_size(std::array<std::int64_t, 2> const& size) {
    return std::to_string(size[0]) + "x" + std::to_string(size[1]);
}

std::string format_bytes(double bytes) {
    bool const large = bytes >= 1e8;
    char text[512];  // the largest double has 309 digits
    double const shown = bytes / (large ? 1e9 : 1e6);
    auto const end = std::to_chars(text, text + sizeof text, shown, std::chars_format::fixed, 1).ptr;
    return std::string(text, end) + (large ? " GB" : " MB");
}

bool is_printable(std::string_view text) {
    for (char32_t const c : code_points(text))
        if (!is_printable(c)) return false;
    return true;
}

std::string path_text(std::string_view path) {
    // POSIX leaves a meaning to just two slashes at the start, and pathlib leaves them.
    bool const two = path.substr(0, 2) == "//" && path.substr(0, 3) != "///";
    std::string const root = two ? "//" : path.substr(0, 1) == "/" ? "/" : "";
    std::vector<std::string> parts;
    for (std::size_t at = 0; at <= path.size();) {
        std::size_t const end = std::min(path.find('/', at), path.size());
        std::string_view const part = path.substr(at, end - at);
        if (!part.empty() && part != ".") parts.emplace_back(part);
        at = end + 1;
    }
    std::string const text = root + joined(parts, "/");
    return text.empty() ? "." : text;
}

std::string path_text(std::string_view folder, std::string_view name) {
    if (folder.empty() || name.substr(0, 1) == "/") return path_text(name);
    std::string const between = folder.back() == '/' ? "" : "/";
    return path_text(std::string(folder) + between + std::string(name));
}

}  // namespace fdcn::impl
