#include "bundle/records.h"

#include <algorithm>
#include <set>

#include "messages.h"
#include "text/python_text.h"

namespace fdcn::impl {
namespace {

[[noreturn]] void wrong_type(Json const& value, std::string const& where, char const* wanted) {
    throw Malformed(messages::record::type(where, python_type(value), wanted));
}

template <class T>
void read_plain(Json const& value, std::string const& where, char const* name, T& into) {
    T const* const held = value.as<T>();
    if (!held) wrong_type(value, where, name);
    into = *held;
}

// The first name, in order, that lacks though it is needed or that no field has.
void check_names(Json::Object const& object, std::string const& where, std::vector<Field> const& fields) {
    std::set<std::string_view> wrong, known;
    for (Field const& field : fields) {
        known.insert(field.name);
        if (field.needed) wrong.insert(field.name);
    }
    for (auto const& member : object)
        if (!wrong.erase(member.first) && !known.count(member.first)) wrong.insert(member.first);
    if (wrong.empty()) return;
    std::string const name(*wrong.begin());
    throw Malformed(known.count(name) ? messages::record::missing(where, shown(name))
                                      : messages::record::unknown(where, shown(name)));
}

}  // namespace

void read_value(Json const& value, std::string const& where, bool& into) { read_plain(value, where, "bool", into); }

void read_value(Json const& value, std::string const& where, std::int64_t& into) {
    if (auto const* beyond = value.as<Json::Digits>())
        throw Malformed(messages::record::range(where, beyond->text, INT64_MIN, INT64_MAX));
    read_plain(value, where, "int", into);
}

void read_value(Json const& value, std::string const& where, double& into) {
    if (auto const* whole = value.as<std::int64_t>())
        into = static_cast<double>(*whole);
    else if (auto const* beyond = value.as<Json::Digits>())
        into = std::stod(beyond->text);
    else
        read_plain(value, where, "float", into);
}

void read_value(Json const& value, std::string const& where, std::string& into) {
    read_plain(value, where, "str", into);
}

Json::Array const& items(Json const& value, std::string const& where) {
    auto const* const array = value.as<Json::Array>();
    if (!array) throw Malformed(messages::record::not_a_list(where));
    return *array;
}

Json::Object const& members(Json const& value, std::string const& where) {
    auto const* const object = value.as<Json::Object>();
    if (!object) throw Malformed(messages::record::not_an_object(where));
    return *object;
}

std::string shown(std::string const& name) { return is_printable(name) ? name : repr(name); }

std::string inside(std::string const& where, std::string const& name) { return where + "." + shown(name); }

std::string item(std::string const& where, std::size_t index) { return where + "[" + std::to_string(index) + "]"; }

void check_range(std::int64_t value, std::int64_t least, std::int64_t most, std::string const& where) {
    if (value < least || value > most) throw Malformed(messages::record::range(where, value, least, most));
}

void check_length(std::size_t length, std::int64_t wanted, std::string const& where) {
    if (static_cast<std::int64_t>(length) != wanted) throw Malformed(messages::record::length(where, length, wanted));
}

void read_fields(Json const& value, std::string const& where, std::vector<Field> const& fields) {
    Json::Object const& object = members(value, where);
    check_names(object, where, fields);
    for (auto const& [name, item] : object) {
        auto const field = std::find_if(fields.begin(), fields.end(), [&name = name](Field const& f) {
            return f.name == name;
        });
        field->read(item, inside(where, name));
    }
}

Field record_field(std::string_view name, std::vector<Field> fields) {
    return {name, [fields = std::move(fields)](Json const& value, std::string const& where) {
                read_fields(value, where, fields);
            }};
}

}  // namespace fdcn::impl
