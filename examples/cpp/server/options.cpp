#include "options.h"

#include <charconv>
#include <stdexcept>
#include <string_view>

namespace {

std::int64_t number(std::string_view name, std::string_view text, std::int64_t least, std::int64_t most) {
    std::int64_t value = 0;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < least || value > most)
        throw std::invalid_argument(std::string(name) + " takes a number from " + std::to_string(least) + " to " +
                                    std::to_string(most) + ", not '" + std::string(text) + "'");
    return value;
}

}  // namespace

Options parse(int argc, char const* const* argv) {
    Options options;
    for (int i = 1; i < argc; i += 2) {
        std::string_view const name = argv[i];
        if (i + 1 == argc) throw std::invalid_argument(std::string(name) + " stands without its value");
        std::string_view const value = argv[i + 1];
        if (name == "--bundle")
            options.bundle = value;
        else if (name == "--host")
            options.host = value;
        else if (name == "--port")
            options.port = static_cast<int>(number(name, value, 0, 65535));
        else if (name == "--queue")
            options.queue = number(name, value, 1, 1024);
        else if (name == "--largest")
            options.largest = number(name, value, 1, 1 << 16);
        else
            throw std::invalid_argument("no option is called " + std::string(name) +
                                        "; there are --bundle, --host, --port, --queue and --largest");
    }
    return options;
}
