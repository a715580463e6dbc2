#include <algorithm>

#include "bundle/records.h"
#include "fdcn/fdcn.hpp"
#include "messages.h"
#include "request/integer.h"
#include "request/nearest_names.h"
#include "request/sizes.h"
#include "text/python_text.h"

namespace fdcn {
namespace impl {
namespace {

constexpr char kWhere[] = "request";

// A whole number of any length, as it may be written.
Integer integer(Json const& value, std::string const& where) {
    std::string text;
    if (auto const* beyond = value.as<Json::Digits>()) {
        text = beyond->text;
    } else {
        std::int64_t number = 0;
        read_value(value, where, number);
        text = std::to_string(number);
    }
    return *read_integer(text);
}

void read_label(Json const& value, std::string const& where, Label& into) {
    if (auto const* name = value.as<std::string>())
        into = *name;
    else if (auto const* beyond = value.as<Json::Digits>())
        into = beyond->text;  // no class has it, and the error is to show it
    else
        read_value(value, where, into.emplace<std::int64_t>());
}

void read_labels(Json const& value, std::string const& where, Request& into) {
    auto const& labels = items(value, where);
    if (labels.empty()) throw Error(messages::request::no_label());
    into.labels.resize(labels.size());
    for (std::size_t i = 0; i < labels.size(); ++i) read_label(labels[i], item(where, i), into.labels[i]);
}

void read_seeds(Json const& value, std::string const& where, Request& into) {
    auto const& seeds = items(value, where);
    if (seeds.empty()) throw Error(messages::request::no_seed());
    for (std::size_t i = 0; i < seeds.size(); ++i) into.seeds.push_back(integer(seeds[i], item(where, i)).wrapped());
}

void read_size(Json const& value, std::string const& where, Request& into) {
    Size size{};
    if (auto const* text = value.as<std::string>()) {
        size = parse_size(*text);
    } else {
        std::vector<std::int64_t> sides;
        read_value(value, where, sides);
        check_length(sides.size(), 2, where);
        size = {sides[0], sides[1]};
    }
    into.width = size[0];
    into.height = size[1];
}

void read_interval(Json const& value, std::string const& where, Request& into) {
    std::vector<double> ends;
    read_value(value, where, ends);
    check_length(ends.size(), 2, where);
    into.guidance_interval = {ends[0], ends[1]};
}

// What Images::parameters() says of the noise; the numbers themselves come in another way, and until then lack.
void read_noise(Json const& value, std::string const& where, Request& into) {
    std::string origin;
    read_value(value, where, origin);
    if (origin != "seeds" && origin != "given") throw Error(messages::request::noise_origin(repr(origin)));
    if (origin == "given") into.noise.emplace();
}

std::vector<Field> fields_of(Request& into) {
    auto const own = [&into](void (*read)(Json const&, std::string const&, Request&)) {
        return [&into, read](Json const& value, std::string const& where) { read(value, where, into); };
    };
    auto const seed = [&into](Json const& value, std::string const& where) {
        into.seed = integer(value, where).wrapped();
    };
    return {{"labels", own(read_labels)},
            field("count", into.count),
            {"size", own(read_size)},
            {"seed", seed},
            {"seeds", own(read_seeds)},
            field("solver", into.solver),
            field("steps", into.steps),
            field("last_step", into.last_step),
            field("guidance", into.guidance),
            field("guidance_channels", into.guidance_channels),
            {"guidance_interval", own(read_interval)},
            field("s_max_adjust", into.s_max_adjust),
            {"noise", own(read_noise)},
            field("preview_every", into.preview_every)};
}

[[noreturn]] void refuse_name(std::string const& name, std::vector<Field> const& fields) {
    std::vector<std::string> names;
    for (Field const& field : fields) names.emplace_back(field.name);
    std::string const near = nearest_names(name, names);
    throw Error(near.empty() ? messages::request::unknown_field(repr(name), joined(names, ", "))
                             : messages::request::misspelt_field(repr(name), near));
}

// What is null is left to its default.
void read_request(Json const& value, Request& into) {
    std::vector<Field> const fields = fields_of(into);
    for (auto const& [name, held] : members(value, kWhere)) {
        auto const field = std::find_if(fields.begin(), fields.end(), [&name = name](Field const& f) {
            return f.name == name;
        });
        if (field == fields.end()) refuse_name(name, fields);
        if (!held.as<std::nullptr_t>()) field->read(held, inside(kWhere, name));
    }
}

}  // namespace
}  // namespace impl

Request Request::from_json(std::string_view json) {
    std::optional<impl::Json> const content = impl::parse_json(json);
    if (!content) throw Error(impl::messages::request::unreadable(impl::messages::bundle::not_json()));
    Request request;
    try {
        impl::read_request(*content, request);
    } catch (impl::Malformed const& error) {
        throw Error(impl::messages::request::unreadable(error.what()));
    }
    return request;
}

}  // namespace fdcn
