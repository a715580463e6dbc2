// JSON as Python's json module reads and writes it, for the little that a runtime has of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace fdcn::impl {

// A value. An object keeps the order of its names; of two equal names the last counts, where the first stood.
struct Json {
    using Array = std::vector<Json>;
    using Object = std::vector<std::pair<std::string, Json>>;
    // An integer beyond 64 bits, as its digits.
    struct Digits {
        std::string text;
    };

    std::variant<std::nullptr_t, bool, std::int64_t, Digits, double, std::string, Array, Object> value = nullptr;

    Json() = default;
    template <class T, class = std::enable_if_t<!std::is_same_v<std::decay_t<T>, Json>>>
    Json(T&& held) : value(std::forward<T>(held)) {}

    template <class T>
    T const* as() const {
        return std::get_if<T>(&value);
    }
    // A member of an object; null where there is none, or this is no object.
    Json const* find(std::string_view name) const;
};

// None where it is no JSON, no UTF-8, has a number that is not finite or a NUL character, or is nested deeper than
// kNestingAtMost.
std::optional<Json> parse_json(std::string_view text);
// As json.dumps writes it: one line, ASCII.
std::string dump_json(Json const& value);
// The name of its type in Python, as NoneType, bool, int, float, str, list or dict.
std::string_view python_type(Json const& value);
// repr of the value in Python.
std::string repr_json(Json const& value);

}  // namespace fdcn::impl
