#include "pictures.h"

#include <charconv>
#include <cstdio>
#include <exception>
#include <initializer_list>
#include <utility>

namespace {

std::string quoted(std::string const& text) {
    std::string json = "\"";
    for (char const c : text) {
        if (c == '"' || c == '\\') {
            json += {'\\', c};
        } else if (static_cast<unsigned char>(c) < 0x20) {
            char escape[8];
            std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c));
            json += escape;
        } else {
            json += c;
        }
    }
    return json + '"';
}

// What from_json does not read from text itself.
template <class T>
T number(std::string const& name, std::string const& text) {
    T value{};
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size())
        throw fdcn::Error(name + " is no number that fits: '" + text + "'");
    return value;
}

fdcn::Request request(Query const& query) {
    std::string texts;
    fdcn::Request numbers;
    bool labelled = false;
    for (auto const& [name, value] : query) {
        if (query.count(name) > 1) throw fdcn::Error(name + " is there more than once");
        if (name == "label" || name == "size" || name == "solver") {
            texts += (texts.empty() ? "" : ", ");
            texts += name == "label" ? "\"labels\": [" + quoted(value) + "]" : quoted(name) + ": " + quoted(value);
            labelled |= name == "label";
        } else if (name == "seed") {
            numbers.seed = number<std::uint64_t>(name, value);
        } else if (name == "steps") {
            numbers.steps = number<std::int64_t>(name, value);
        } else if (name == "guidance") {
            numbers.guidance = number<double>(name, value);
        } else {
            throw fdcn::Error("nothing is called " + name +
                              " here; there are label, size, seed, steps, guidance and solver");
        }
    }
    if (!labelled) throw fdcn::Error("label is missing: a class's number or name");
    fdcn::Request wanted = fdcn::Request::from_json("{" + texts + "}");
    wanted.seed = numbers.seed;
    wanted.steps = numbers.steps;
    wanted.guidance = numbers.guidance;
    return wanted;
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
        if (wanted.width.value_or(0) > largest_ || wanted.height.value_or(0) > largest_)
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
