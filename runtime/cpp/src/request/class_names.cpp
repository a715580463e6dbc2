#include "request/class_names.h"

#include "messages.h"
#include "request/integer.h"
#include "request/nearest_names.h"
#include "text/python_text.h"
#include "text/unicode_text.h"

namespace fdcn::impl {

std::int64_t ClassNames::index(Label const& label) {
    if (auto const* number = std::get_if<std::int64_t>(&label)) return checked(*number);
    return index_of(std::get<std::string>(label));
}

std::string ClassNames::label(std::int64_t index) {
    fill();
    if (manifest_.class_names) {
        std::string const& name = manifest_.class_names->at(static_cast<std::size_t>(index));
        if (index_.at(casefold(code_points(name))) == index) return name;
    }
    return std::to_string(index);
}

void ClassNames::fill() {
    if (!index_.empty() || !manifest_.class_names) return;
    auto const& names = *manifest_.class_names;
    for (std::size_t i = 0; i < names.size(); ++i)
        index_[casefold(code_points(names[i]))] = static_cast<std::int64_t>(i);
}

std::int64_t ClassNames::index_of(std::string const& name) {
    fill();
    auto const found = index_.find(casefold(code_points(name)));
    if (found != index_.end()) return found->second;
    std::optional<Integer> const number = read_integer(name);
    if (!number) throw Error(messages::request::unknown_class(repr(name), hint(name)));
    std::int64_t const last = manifest_.model.classes - 1;
    if (std::optional<std::int64_t> const index = number->within(last)) return *index;
    throw Error(messages::request::class_range(number->text(), last + 1, last));
}

std::int64_t ClassNames::checked(std::int64_t number) const {
    std::int64_t const classes = manifest_.model.classes;
    if (number >= 0 && number < classes) return number;
    throw Error(messages::request::class_range(number, classes, classes - 1));
}

std::string ClassNames::hint(std::string const& label) const {
    std::int64_t const last = manifest_.model.classes - 1;
    if (!manifest_.class_names) return messages::request::class_numbers(last);
    std::string const near = nearest_names(label, *manifest_.class_names);
    return near.empty() ? messages::request::class_numbers_or_names(last) : messages::request::nearest_classes(near);
}

}  // namespace fdcn::impl
