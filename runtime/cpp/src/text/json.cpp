#include "text/json.h"

#include "text/python_text.h"
#include "text/unicode_text.h"

namespace fdcn::impl {
namespace {

void append_hexadecimal(std::string& text, unsigned unit) {
    constexpr char kDigits[] = "0123456789abcdef";
    text += "\\u";
    for (int shift = 12; shift >= 0; shift -= 4) text += kDigits[unit >> shift & 15];
}

std::string quoted(std::string_view text) {
    std::string result = "\"";
    for (char32_t const c : code_points(text)) {
        constexpr std::u32string_view kEscaped = U"\"\\\n\r\t\f\b";
        if (std::size_t const place = kEscaped.find(c); place != std::u32string_view::npos) {
            result += '\\';
            result += "\"\\nrtfb"[place];
        } else if (c >= U' ' && c <= U'~') {
            result += static_cast<char>(c);
        } else if (c < 0x10000) {
            append_hexadecimal(result, c);
        } else {
            append_hexadecimal(result, 0xd800 + ((c - 0x10000) >> 10));
            append_hexadecimal(result, 0xdc00 + ((c - 0x10000) & 0x3ff));
        }
    }
    return result += '"';
}

// How a language writes what is no container.
struct Words {
    char const *null, *yes, *no;
    std::string (*string)(std::string_view);
};

std::string written(Json const& json, Words const& words) {
    if (json.as<std::nullptr_t>()) return words.null;
    if (auto const* value = json.as<bool>()) return *value ? words.yes : words.no;
    if (auto const* value = json.as<std::int64_t>()) return std::to_string(*value);
    if (auto const* value = json.as<Json::Digits>()) return value->text;
    if (auto const* value = json.as<double>()) return str(*value);
    if (auto const* value = json.as<std::string>()) return words.string(*value);
    std::vector<std::string> inside;
    if (auto const* array = json.as<Json::Array>()) {
        for (Json const& item : *array) inside.push_back(written(item, words));
        return "[" + joined(inside, ", ") + "]";
    }
    for (auto const& [name, item] : *json.as<Json::Object>())
        inside.push_back(words.string(name) + ": " + written(item, words));
    return "{" + joined(inside, ", ") + "}";
}

}  // namespace

Json const* Json::find(std::string_view name) const {
    if (auto const* object = as<Object>())
        for (auto const& [known, held] : *object)
            if (known == name) return &held;
    return nullptr;
}

std::string dump_json(Json const& value) { return written(value, {"null", "true", "false", quoted}); }

std::string_view python_type(Json const& value) {
    constexpr std::string_view kNames[] = {"NoneType", "bool", "int", "int", "float", "str", "list", "dict"};
    return kNames[value.value.index()];
}

std::string repr_json(Json const& value) {
    return written(value, {"None", "True", "False", [](std::string_view text) { return repr(text); }});
}

}  // namespace fdcn::impl
