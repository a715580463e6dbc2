// Texts as Python writes them, and noise.
#include "native/philox.h"
#include "parity.h"
#include "request/integer.h"
#include "request/nearest_names.h"
#include "request/sizes.h"
#include "text/python_text.h"
#include "text/sha256.h"
#include "text/unicode_text.h"

namespace fdcn::impl::parity {
namespace {

std::vector<std::string> texts(Json const& given, std::string_view name) {
    std::vector<std::string> result;
    for (Json const& item : *member(given, name).as<Json::Array>()) result.push_back(*item.as<std::string>());
    return result;
}

Command const kRepr("repr", [](Json const& given) -> Json { return repr(text(given, "text")); });
Command const kStr("str", [](Json const& given) -> Json { return str(number(member(given, "number"))); });
Command const kBytes("format_bytes",
                     [](Json const& given) -> Json { return format_bytes(number(member(given, "number"))); });
Command const kCasefold("casefold", [](Json const& given) -> Json {
    return utf8(casefold(code_points(text(given, "text"))));
});
Command const kPath("path", [](Json const& given) -> Json {
    return path_text(text(given, "folder"), text(given, "name"));
});
// Of bytes in hexadecimal, which need not be text.
Command const kJson("json", [](Json const& given) -> Json {
    std::string const digits = text(given, "bytes");
    std::string bytes;
    for (std::size_t i = 0; i < digits.size(); i += 2)
        bytes += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
    std::optional<Json> const parsed = parse_json(bytes);
    return parsed ? Json(Json::Array{dump_json(*parsed), repr_json(*parsed)}) : Json();
});
Command const kInteger("int", [](Json const& given) -> Json {
    std::optional<Integer> const read = read_integer(text(given, "text"));
    return read ? Json(read->text()) : Json();
});
Command const kNearest("nearest", [](Json const& given) -> Json {
    return nearest_names(text(given, "word"), texts(given, "names"));
});
Command const kSize("size", [](Json const& given) -> Json { return as_array(parse_size(text(given, "text"))); });
Command const kSha256("sha256", [](Json const& given) -> Json { return sha256_of_file(text(given, "path")); });

// Of so many quads of an image's draw the words, uniforms and normals.
Json noise(Json const& given) {
    std::uint64_t const seed = read_integer(text(given, "seed"))->wrapped();
    auto const step = static_cast<unsigned>(whole(given, "step")), draw = static_cast<unsigned>(whole(given, "draw"));
    auto const from = static_cast<unsigned>(whole(given, "from"));
    std::vector<unsigned> words;
    std::vector<double> uniforms;
    std::vector<float> normal(4 * static_cast<std::size_t>(whole(given, "quads")));
    for (std::size_t i = 0; i < normal.size() / 4; ++i) {
        unsigned const quad = from + static_cast<unsigned>(i);
        Words const made = philox4x32({{quad, step, draw, 0u}}, static_cast<unsigned>(seed),
                                      static_cast<unsigned>(seed >> 32));
        words.insert(words.end(), made.w, made.w + 4);
        for (int pair = 0; pair < 4; pair += 2)
            uniforms.insert(uniforms.end(), {above_zero(made.w[pair]), below_one(made.w[pair + 1])});
        normals(seed, quad, step, draw, &normal[4 * i]);
    }
    return Json::Object{{"words", bytes_of(words)}, {"uniforms", bytes_of(uniforms)}, {"normals", bytes_of(normal)}};
}
Command const kNoise("noise", noise);

}  // namespace
}  // namespace fdcn::impl::parity
