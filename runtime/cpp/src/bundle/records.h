// Records that are kept as JSON, checked against their types when they are read: records.py. What a record holds is
// said by an overload of read_value for its type, which read_fields makes of its fields.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "text/json.h"

namespace fdcn::impl {

// A value is not what its type says; the message names where.
class Malformed : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

void read_value(Json const& value, std::string const& where, bool& into);
void read_value(Json const& value, std::string const& where, std::int64_t& into);
void read_value(Json const& value, std::string const& where, double& into);
void read_value(Json const& value, std::string const& where, std::string& into);

// The items of a list; throws Malformed for anything else.
Json::Array const& items(Json const& value, std::string const& where);
// The members of an object; throws Malformed for anything else.
Json::Object const& members(Json const& value, std::string const& where);
// A name as it may stand in a line.
std::string shown(std::string const& name);
// Where a member of an object stands.
std::string inside(std::string const& where, std::string const& name);
// Where an item of a list stands.
std::string item(std::string const& where, std::size_t index);
// Throws Malformed where an integer is not within two others, ends included.
void check_range(std::int64_t value, std::int64_t least, std::int64_t most, std::string const& where);
void check_length(std::size_t length, std::int64_t wanted, std::string const& where);

template <class T>
void read_value(Json const& value, std::string const& where, std::optional<T>& into) {
    into.reset();
    if (!value.as<std::nullptr_t>()) read_value(value, where, into.emplace());
}

template <class T>
void read_value(Json const& value, std::string const& where, std::vector<T>& into) {
    into.clear();
    for (Json const& held : items(value, where)) {
        std::string const place = item(where, into.size());
        read_value(held, place, into.emplace_back());
    }
}

template <class T>
void read_value(Json const& value, std::string const& where, std::map<std::string, T>& into) {
    into.clear();
    for (auto const& [name, held] : members(value, where)) read_value(held, inside(where, name), into[name]);
}

// A field of a record: its name, and what reads it.
struct Field {
    std::string_view name;
    std::function<void(Json const&, std::string const&)> read;
    bool needed = true;
};

// Reads an object that has these fields and no others.
void read_fields(Json const& value, std::string const& where, std::vector<Field> const& fields);

template <class T>
Field field(std::string_view name, T& into) {
    return {name, [&into](Json const& value, std::string const& where) { read_value(value, where, into); }};
}

// The same field, if it came later: what was written before it lacks it.
inline Field later(Field field) {
    field.needed = false;
    return field;
}

// A field that is checked and not kept.
template <class T>
Field unused_field(std::string_view name) {
    return {name, [](Json const& value, std::string const& where) {
                T dropped{};
                read_value(value, where, dropped);
            }};
}

// A field that is a record of its own, with these fields.
Field record_field(std::string_view name, std::vector<Field> fields);

}  // namespace fdcn::impl
