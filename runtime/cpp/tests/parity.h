// What the program `parity` answers, so that Python can be compared with it: JSON lines in, JSON lines out.
//     {"command": "repr", "text": "é"}  →  {"result": "'é'"}
// What throws Error gives {"refused": its text}; whatever else is thrown, {"failed": its text}.
#pragma once

#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "text/json.h"

namespace fdcn::impl::parity {

using Function = Json (*)(Json const& given);

// Adds a command, as a constant of its file.
struct Command {
    Command(char const* name, Function function);
};

// Members of what was given; each throws where there is none of that type.
Json const& member(Json const& given, std::string_view name);
std::string text(Json const& given, std::string_view name);
std::int64_t whole(Json const& given, std::string_view name);
bool truth(Json const& given, std::string_view name);
// A number, or one as text where JSON has none, as "nan" or "0x1p-3".
double number(Json const& value);

// The bytes of plain values behind one another, as they lie in memory, in hexadecimal: every bit arrives.
std::string bytes_of(void const* values, std::size_t size);
template <class T>
std::string bytes_of(std::vector<T> const& values) {
    return bytes_of(values.data(), values.size() * sizeof(T));
}

template <class T>
Json as_json(std::optional<T> const& value) {
    return value ? Json(*value) : Json();
}

template <class T>
Json as_array(T const& values) {
    Json::Array array;
    for (auto const& value : values) array.emplace_back(value);
    return array;
}

}  // namespace fdcn::impl::parity
