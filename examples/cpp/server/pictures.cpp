#include "pictures.h"

#include <cstdio>
#include <exception>
#include <initializer_list>
#include <regex>
#include <string_view>
#include <utility>

namespace {

// How many bytes the first character of UTF-8 has; 0 where the text begins with none.
std::size_t character(std::string_view text) {
    auto const byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
    auto const between = [&](unsigned least, unsigned most) { return byte(1) >= least && byte(1) <= most; };
    auto const continues = [&](std::size_t i) { return (byte(i) & 0xc0) == 0x80; };
    unsigned const first = byte(0);
    if (first < 0x80) return 1;
    if (first < 0xc2) return 0;
    if (first < 0xe0) return continues(1) ? 2 : 0;
    if (first < 0xf0) return between(first == 0xe0 ? 0xa0 : 0x80, first == 0xed ? 0x9f : 0xbf) && continues(2) ? 3 : 0;
    if (first > 0xf4 || !between(first == 0xf0 ? 0x90 : 0x80, first == 0xf4 ? 0x8f : 0xbf)) return 0;
    return continues(2) && continues(3) ? 4 : 0;
}

// A string of JSON, which is UTF-8, of what a URL had: any bytes.
std::string quoted(std::string_view text) {
    std::string json = "\"";
    while (!text.empty()) {
        char const c = text[0];
        std::size_t const bytes = character(text);
        if (bytes == 0) {
            json += "\\ufffd";
        } else if (c == '"' || c == '\\') {
            json += {'\\', c};
        } else if (bytes == 1 && c < 0x20) {
            char escape[8];
            std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c));
            json += escape;
        } else {
            json += text.substr(0, bytes);
        }
        text.remove_prefix(bytes ? bytes : 1);
    }
    return json + '"';
}

// A number as JSON has it; whether it is one that fits is from_json's to say.
std::string const& number(std::string const& name, std::string const& text) {
    static std::regex const json(R"(-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?)");
    if (text.size() > 40 || !std::regex_match(text, json))
        throw fdcn::Error(name + " is no number that fits: '" + text + "'");
    return text;
}

fdcn::Request request(Query const& query) {
    std::string json;
    for (auto const& [name, value] : query) {
        if (query.count(name) > 1) throw fdcn::Error(name + " is there more than once");
        json += json.empty() ? "" : ", ";
        if (name == "label")
            json += "\"labels\": [" + quoted(value) + "]";
        else if (name == "size" || name == "solver")
            json += quoted(name) + ": " + quoted(value);
        else if (name == "seed" || name == "steps" || name == "guidance")
            json += quoted(name) + ": " + number(name, value);
        else
            throw fdcn::Error("nothing is called " + name +
                              " here; there are label, size, seed, steps, guidance and solver");
    }
    if (query.count("label") == 0) throw fdcn::Error("label is missing: a class's number or name");
    return fdcn::Request::from_json("{" + json + "}");
}

// A place in the queue, if there is one, until it goes.
class Place {
public:
    Place(std::atomic<std::int64_t>& taken, std::int64_t most) : taken_(taken), found_(++taken <= most) {}
    ~Place() { --taken_; }
    Place(Place const&) = delete;
    Place& operator=(Place const&) = delete;

    explicit operator bool() const { return found_; }

private:
    std::atomic<std::int64_t>& taken_;
    bool found_;
};

}  // namespace

Answer Answer::refusal(int status, std::string const& message) {
    return {status, "application/json", "{\"error\": " + quoted(message) + "}\n"};
}

Pictures::Pictures(fdcn::Pipeline pipe, std::int64_t queue, std::int64_t largest)
    : pipe_(std::move(pipe)), queue_(queue), largest_(largest) {}

Answer Pictures::generate(Query const& query) {
    fdcn::Request wanted;
    try {
        wanted = request(query);
        auto const [width, height] = pipe_.train_size();
        if (wanted.width.value_or(width) > largest_ || wanted.height.value_or(height) > largest_)
            throw fdcn::Error("a picture's side has at most " + std::to_string(largest_) + " pixels here");
    } catch (fdcn::Error const& error) {
        return Answer::refusal(400, error.what());
    }
    Place const place(waiting_, queue_);
    if (!place) return Answer::refusal(503, "the queue is full; try again in a moment");

    // What submit refuses is the caller's to mend; what goes wrong while sampling is not.
    int status = 400;
    try {
        auto const future = pipe_.submit(wanted);
        status = 500;
        auto const png = future.get().png(0);
        return {200, "image/png", {png.begin(), png.end()}};
    } catch (std::exception const& error) {
        return Answer::refusal(dynamic_cast<fdcn::Error const*>(&error) ? status : 500, error.what());
    }
}

Answer Pictures::health() const {
    return {200, "application/json",
            "{\"status\": \"ok\", \"backend\": " + quoted(pipe_.backend()) +
                ", \"waiting\": " + std::to_string(waiting_) + ", \"queue\": " + std::to_string(queue_) + "}\n"};
}
