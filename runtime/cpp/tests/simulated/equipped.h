// Copies of the tests' bundle with an engine that the simulated TensorRT runs.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>

#include "text/json.h"
#include "text/sha256.h"

namespace fdcn {

namespace fs = std::filesystem;

inline impl::Json::Object& object(impl::Json& value) { return std::get<impl::Json::Object>(value.value); }

inline impl::Json& member(impl::Json& value, std::string_view name) {
    for (auto& [key, held] : object(value))
        if (key == name) return held;
    object(value).emplace_back(name, impl::Json());
    return object(value).back().second;
}

inline impl::Json read_json(fs::path const& file) {
    std::ifstream from(file);
    return *impl::parse_json(std::string(std::istreambuf_iterator<char>(from), {}));
}

// Latents of 2 to 16 a side, in one to eight rows; the conditioner takes up to sixteen times and classes.
inline std::map<std::string, std::string> const kPlans{{"conditioner", "conditioner 1 1 1 2 1 1 16 1 1"},
                                                       {"denoiser", "denoiser 1 2 2 2 8 8 8 16 16"},
                                                       {"decoder", "decoder 1 2 2 1 8 8 8 16 16"}};

inline impl::Json target() {
    using impl::Json;
    auto const extent = [](std::int64_t side, std::int64_t rows) {
        return Json(Json::Object{{"width", side}, {"height", side}, {"batch", rows}});
    };
    Json const profile = Json::Object{{"min", extent(2, 1)}, {"opt", extent(8, 2)}, {"max", extent(16, 8)}};
    Json const plugin = Json::Object{
        {"kind", std::string("library")}, {"version", std::int64_t{1}}, {"sha256", nullptr}, {"file", nullptr}};
    return Json::Object{{"flavour", std::string("tensorrt")},
                        {"version", std::string("10.6.0")},
                        {"compute", Json::Array{std::string("sm_86")}},
                        {"cuda", std::string("12")},
                        {"driver", nullptr},
                        {"precision", std::string("float32")},
                        {"profiles", Json::Array{profile}},
                        {"plugin", plugin},
                        {"onnx_sha256", Json::Object{}},
                        {"workspace", nullptr},
                        {"refittable", false},
                        {"made_from", std::string()}};
}

// Write a copy into a folder.
inline void equip(fs::path const& folder, std::map<std::string, std::string> const& plans = kPlans) {
    using impl::Json;
    fs::copy(FDCN_TEST_BUNDLE, folder, fs::copy_options::recursive);
    fs::create_directory(folder / "engine-0");
    Json manifest = read_json(folder / "manifest.json"), graphs = Json::Object{};
    for (auto const& [graph, plan] : plans) {
        std::string const file = "engine-0/" + graph + ".engine";
        std::ofstream(folder / file) << plan;
        object(graphs).emplace_back(graph, Json::Object{{"file", file}, {"data", Json::Array{}}});
        member(member(manifest, "files"), file) =
            Json::Object{{"bytes", static_cast<std::int64_t>(plan.size())},
                         {"sha256", impl::sha256_of_file((folder / file).string())}};
    }
    member(manifest, "engines") = Json::Array{Json::Object{{"backend", std::string("tensorrt")},
                                                           {"key", std::string("simulated")},
                                                           {"graphs", graphs},
                                                           {"target", target()},
                                                           {"step_groups", Json::Array{}}}};
    std::ofstream(folder / "manifest.json") << impl::dump_json(manifest);
}

}  // namespace fdcn
