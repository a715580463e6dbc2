#include "parity.h"

#include <cstdlib>
#include <iostream>
#include <map>

#include "fdcn/fdcn.hpp"

namespace fdcn::impl::parity {
namespace {

std::map<std::string, Function>& commands() {
    static std::map<std::string, Function> every;
    return every;
}

template <class T>
T const& held(Json const& given, std::string_view name) {
    T const* const value = member(given, name).as<T>();
    if (!value) throw std::invalid_argument(std::string(name) + " has another type");
    return *value;
}

Json answer(std::string const& line) {
    try {
        std::optional<Json> const given = parse_json(line);
        if (!given) throw std::invalid_argument("not JSON");
        return Json::Object{{"result", commands().at(text(*given, "command"))(*given)}};
    } catch (Error const& error) {
        return Json::Object{{"refused", std::string(error.what())}};
    } catch (std::exception const& error) {
        return Json::Object{{"failed", std::string(error.what())}};
    }
}

}  // namespace

Command::Command(char const* name, Function function) { commands()[name] = function; }

Json const& member(Json const& given, std::string_view name) {
    Json const* const found = given.find(name);
    if (!found) throw std::invalid_argument(std::string(name) + " is missing");
    return *found;
}

std::string text(Json const& given, std::string_view name) { return held<std::string>(given, name); }

std::int64_t whole(Json const& given, std::string_view name) { return held<std::int64_t>(given, name); }

bool truth(Json const& given, std::string_view name) { return held<bool>(given, name); }

double number(Json const& value) {
    if (auto const* text = value.as<std::string>()) return std::strtod(text->c_str(), nullptr);
    if (auto const* whole = value.as<std::int64_t>()) return static_cast<double>(*whole);
    if (auto const* number = value.as<double>()) return *number;
    throw std::invalid_argument("not a number");
}

std::string bytes_of(void const* values, std::size_t size) {
    constexpr char kDigits[] = "0123456789abcdef";
    auto const* const bytes = static_cast<unsigned char const*>(values);
    std::string result;
    for (std::size_t i = 0; i < size; ++i) {
        result += kDigits[bytes[i] >> 4];
        result += kDigits[bytes[i] & 15];
    }
    return result;
}

}  // namespace fdcn::impl::parity

int main() {
    for (std::string line; std::getline(std::cin, line);)
        std::cout << fdcn::impl::dump_json(fdcn::impl::parity::answer(line)) << std::endl;
}
