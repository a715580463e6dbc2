// The only file that knows the JSON library, which is slow to compile.
#include <nlohmann/json.hpp>

#include <unordered_map>

#include "tables.h"
#include "text/json.h"

namespace fdcn::impl {
namespace {

// Builds a value from the parser's events. A false return ends the parsing.
class Builder {
public:
    using number_integer_t = std::int64_t;
    using number_unsigned_t = std::uint64_t;
    using number_float_t = double;
    using string_t = std::string;
    using binary_t = nlohmann::json::binary_t;

    Json take() { return std::move(root_); }

    bool null() { return put({}); }
    bool boolean(bool value) { return put(value); }
    bool number_integer(std::int64_t value) { return put(value); }
    bool number_unsigned(std::uint64_t value) {
        if (value > static_cast<std::uint64_t>(INT64_MAX)) return put(Json::Digits{std::to_string(value)});
        return put(static_cast<std::int64_t>(value));
    }
    bool number_float(double value, std::string const& text) {
        // The parser gives integers beyond 64 bits as floats.
        if (text.find_first_of(".eE") == std::string::npos) return put(Json::Digits{text});
        return put(value);
    }
    bool string(std::string& value) { return is_text(value) && put(std::move(value)); }
    bool binary(binary_t&) { return false; }
    bool start_object(std::size_t) { return open(Json::Object()); }
    bool key(std::string& name) {
        open_.back().name = std::move(name);
        return is_text(open_.back().name);
    }
    bool end_object() {
        without_repeats(std::get<Json::Object>(open_.back().value.value));
        return close();
    }
    bool start_array(std::size_t) { return open(Json::Array()); }
    bool end_array() { return close(); }
    bool parse_error(std::size_t, std::string const&, nlohmann::json::exception const&) { return false; }

private:
    // A list or object that is being read, and in an object the name of what comes next.
    struct Open {
        Json value;
        std::string name;
    };

    // A C string, which a name or a path becomes, would end at a NUL.
    static bool is_text(std::string const& value) { return value.find('\0') == value.npos; }

    bool open(Json container) {
        if (open_.size() == tables::kNestingAtMost) return false;
        open_.push_back({std::move(container), {}});
        return true;
    }

    bool close() {
        Json finished = std::move(open_.back().value);
        open_.pop_back();
        return put(std::move(finished));
    }

    bool put(Json value) {
        if (open_.empty()) {
            root_ = std::move(value);
            return true;
        }
        Open& parent = open_.back();
        if (auto* const array = std::get_if<Json::Array>(&parent.value.value)) {
            array->push_back(std::move(value));
        } else {
            std::get<Json::Object>(parent.value.value).emplace_back(std::move(parent.name), std::move(value));
        }
        return true;
    }

    // Of equal names the first place and the last value stay.
    static void without_repeats(Json::Object& object) {
        std::unordered_map<std::string_view, std::size_t> places;
        Json::Object kept;
        for (std::size_t i = 0; i < object.size(); ++i) places.try_emplace(object[i].first, i);
        if (places.size() == object.size()) return;
        for (auto& [name, value] : object) {
            Json& first = object[places.at(name)].second;
            if (&first != &value) first = std::move(value);
        }
        for (std::size_t i = 0; i < object.size(); ++i)
            if (places.at(object[i].first) == i) kept.push_back({object[i].first, std::move(object[i].second)});
        object = std::move(kept);
    }

    Json root_;
    std::vector<Open> open_;
};

}  // namespace

std::optional<Json> parse_json(std::string_view text) {
    // The library passes over a byte order mark and ends at a NUL; neither is JSON.
    if (text.substr(0, 3) == "\xef\xbb\xbf" || text.find('\0') != std::string_view::npos) return std::nullopt;
    Builder builder;
    if (!nlohmann::json::sax_parse(text.begin(), text.end(), &builder)) return std::nullopt;
    return builder.take();
}

}  // namespace fdcn::impl
