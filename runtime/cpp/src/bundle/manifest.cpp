#include "bundle/manifest.h"

#include <tuple>

#include "bundle/records.h"
#include "fdcn/fdcn.hpp"
#include "messages.h"
#include "tables.h"
#include "text/python_text.h"

namespace fdcn::impl {

using Text = std::string;
using Numbers = std::vector<std::int64_t>;

static void read_value(Json const& value, std::string const& where, File& into) {
    read_fields(value, where, {field("bytes", into.bytes), field("sha256", into.sha256)});
}

static void read_value(Json const& value, std::string const& where, Graph& into) {
    read_fields(value, where, {field("file", into.file), field("data", into.data)});
}

static void read_value(Json const& value, std::string const& where, Extent& into) {
    read_fields(value, where,
                {field("width", into.width), field("height", into.height), field("batch", into.batch)});
}

static void read_value(Json const& value, std::string const& where, Profile& into) {
    read_fields(value, where, {field("min", into.min), field("opt", into.opt), field("max", into.max)});
}

static void read_value(Json const& value, std::string const& where, Plugin& into) {
    read_fields(value, where,
                {field("kind", into.kind), field("version", into.version), field("sha256", into.sha256),
                 field("file", into.file)});
}

static void read_value(Json const& value, std::string const& where, Target& into) {
    read_fields(value, where,
                {field("flavour", into.flavour), field("version", into.version), field("compute", into.compute),
                 field("cuda", into.cuda), field("driver", into.driver), field("precision", into.precision),
                 field("profiles", into.profiles), field("plugin", into.plugin),
                 unused_field<std::map<Text, Text>>("onnx_sha256"), field("workspace", into.workspace),
                 field("refittable", into.refittable), unused_field<Text>("made_from")});
}

static void read_value(Json const& value, std::string const& where, StepGroup& into) {
    read_fields(value, where, {field("until", into.until), field("graph", into.graph)});
}

static void read_value(Json const& value, std::string const& where, Engine& into) {
    read_fields(value, where,
                {field("backend", into.backend), field("key", into.key), field("graphs", into.graphs),
                 later(field("target", into.target)), later(field("step_groups", into.step_groups)),
                 later(unused_field<std::optional<Text>>("recipe_sha256"))});
}

namespace {

// Of the calibration only its files count.
struct Calibration {
    std::string statistics;
    std::map<Text, Text> recipes;
};

// What is checked once all is read.
struct Sizes {
    Numbers train;
    std::optional<Numbers> fixed;
};

void read_value(Json const& value, std::string const& where, Calibration& into) {
    read_fields(value, where,
                {unused_field<Text>("weights_sha256"), unused_field<std::int64_t>("samples"),
                 unused_field<std::vector<Numbers>>("sizes"), unused_field<Text>("solver"),
                 unused_field<std::int64_t>("steps"), unused_field<double>("guidance"),
                 unused_field<std::int64_t>("seed"), field("statistics", into.statistics),
                 field("recipes", into.recipes)});
}

void read_manifest(Json const& content, Manifest& into, Sizes& sizes) {
    auto const [model, sampling, memory] = std::tie(into.model, into.sampling, into.memory);
    std::optional<Calibration> calibration;
    read_fields(
        content, "manifest",
        {unused_field<std::int64_t>("format"), unused_field<Text>("fdcn"),
         record_field("model",
                      {unused_field<Text>("family"), unused_field<std::map<Text, std::int64_t>>("architecture"),
                       field("blocks", model.blocks), field("channels", model.channels),
                       field("classes", model.classes), field("patch", model.patch),
                       unused_field<std::int64_t>("parameters"), unused_field<Text>("weights"),
                       unused_field<Text>("weights_sha256")}),
         record_field("sampling", {field("solver", sampling.solver), field("steps", sampling.steps),
                                   field("guidance", sampling.guidance), field("reach", sampling.reach),
                                   field("s_max_adjust", sampling.s_max_adjust)}),
         record_field("memory", {field("token", memory.token), field("pixel", memory.pixel),
                                 field("latent_pair", memory.latent_pair)}),
         unused_field<Text>("operator"), field("train_size", sizes.train), unused_field<bool>("mixed_aspect"),
         field("fixed_size", sizes.fixed), field("pixel_factor", into.pixel_factor),
         field("class_names", into.class_names), field("graphs", into.graphs), field("engines", into.engines),
         field("files", into.files), later(field("calibration", calibration))});
    if (!calibration) return;
    into.calibration.insert(calibration->statistics);
    for (auto const& recipe : calibration->recipes) into.calibration.insert(recipe.second);
}

void check_profile(Profile const& profile, std::string const& where) {
    struct {
        char const* name;
        Extent const& extent;
    } const ends[] = {{".min", profile.min}, {".opt", profile.opt}, {".max", profile.max}};
    for (auto const& [name, extent] : ends) {
        check_range(extent.width, 1, tables::kAtMost, where + name + ".width");
        check_range(extent.height, 1, tables::kAtMost, where + name + ".height");
        check_range(extent.batch, 1, tables::kAtMost, where + name + ".batch");
    }
}

Size checked_size(Numbers const& numbers, std::string const& where) {
    check_length(numbers.size(), 2, where);
    for (std::size_t i = 0; i < 2; ++i) check_range(numbers[i], 1, tables::kAtMost, item(where, i));
    return {numbers[0], numbers[1]};
}

// Numbers that no model has are refused, since a run calculates with them.
void check_numbers(Manifest& manifest, Sizes const& sizes) {
    auto const [model, memory] = std::tie(manifest.model, manifest.memory);
    check_range(model.blocks, 1, tables::kBlocksAtMost, "manifest.model.blocks");
    check_range(model.channels, 1, tables::kAtMost, "manifest.model.channels");
    check_range(model.classes, 1, tables::kAtMost, "manifest.model.classes");
    check_range(model.patch, 1, tables::kAtMost, "manifest.model.patch");
    check_range(manifest.pixel_factor, 1, tables::kAtMost, "manifest.pixel_factor");
    check_range(memory.token, 1, tables::kAtMost, "manifest.memory.token");
    check_range(memory.pixel, 0, tables::kAtMost, "manifest.memory.pixel");
    check_range(memory.latent_pair, 0, tables::kAtMost, "manifest.memory.latent_pair");
    manifest.train_size = checked_size(sizes.train, "manifest.train_size");
    if (sizes.fixed) manifest.fixed_size = checked_size(*sizes.fixed, "manifest.fixed_size");
    if (manifest.class_names) check_length(manifest.class_names->size(), model.classes, "manifest.class_names");
    for (std::size_t e = 0; e < manifest.engines.size(); ++e) {
        auto const& target = manifest.engines[e].target;
        std::string const where = item("manifest.engines", e) + ".target.profiles";
        for (std::size_t p = 0; target && p < target->profiles.size(); ++p)
            check_profile(target->profiles[p], item(where, p));
    }
}

void check_graphs(std::map<Text, Graph> const& graphs, std::set<Text> const& needed, std::string const& where) {
    for (Text const& name : needed)
        if (!graphs.count(name)) throw Malformed(messages::record::missing(where, shown(name)));
    for (auto const& [name, graph] : graphs) {
        std::string const place = inside(where, name);
        if (graph.file.empty()) throw Malformed(messages::record::missing_value(place + ".file"));
        for (std::size_t d = 0; d < graph.data.size(); ++d)
            if (graph.data[d].empty()) throw Malformed(messages::record::missing_value(item(place + ".data", d)));
    }
}

// Every graph that a run may ask for is there; of TensorRT's, opening an engine says so.
void check_all_graphs(Manifest const& manifest) {
    std::set<Text> const always{"conditioner", "denoiser"};
    check_graphs(manifest.graphs, always, "manifest.graphs");
    for (std::size_t e = 0; e < manifest.engines.size(); ++e) {
        Engine const& engine = manifest.engines[e];
        std::set<Text> needed;
        if (engine.backend == "onnxruntime") {
            needed = always;
            for (StepGroup const& group : engine.step_groups) needed.insert(group.graph);
        }
        check_graphs(engine.graphs, needed, item("manifest.engines", e) + ".graphs");
    }
}

void check_listed(Manifest const& manifest) {
    for (std::string const& path : manifest.paths())
        if (!manifest.files.count(path)) throw Malformed(messages::bundle::unlisted(path));
}

// Whether Python, to which true and 1.0 equal 1, takes a format for the one that is read.
bool is_format(Json const& found) {
    if (auto const* value = found.as<bool>()) return *value;
    if (auto const* value = found.as<double>()) return *value == tables::kFormat;
    auto const* const value = found.as<std::int64_t>();
    return value && *value == tables::kFormat;
}

}  // namespace

std::string Engine::precision() const {
    std::string const last = key.substr(key.rfind('-') + 1);
    for (tables::Option const& option : tables::kOptions)
        if (last == option.precision) return last;
    return "float32";
}

std::set<std::string> Manifest::paths() const {
    std::set<std::string> every = calibration;
    auto const add = [&every](Graph const& graph) {
        every.insert(graph.file);
        every.insert(graph.data.begin(), graph.data.end());
    };
    for (auto const& graph : graphs) add(graph.second);
    for (Engine const& engine : engines) {
        for (auto const& graph : engine.graphs) add(graph.second);
        if (engine.target && engine.target->plugin.file) every.insert(*engine.target->plugin.file);
    }
    every.erase("");
    return every;
}

Manifest parse_manifest(std::string_view text, std::string const& path) {
    std::string const file = path_text(path, tables::kManifest);
    std::optional<Json> const content = parse_json(text);
    if (!content) throw Error(messages::bundle::damaged(file, messages::bundle::not_json()));
    static Json const none;
    Json const* const found = content->find("format");
    if (!found || !is_format(*found))
        throw Error(messages::bundle::format(path_text(path), repr_json(found ? *found : none), tables::kFormat));
    try {
        Manifest manifest{};
        Sizes sizes;
        read_manifest(*content, manifest, sizes);
        check_numbers(manifest, sizes);
        check_all_graphs(manifest);
        check_listed(manifest);
        return manifest;
    } catch (Malformed const& error) {
        throw Error(messages::bundle::damaged(file, error.what()));
    }
}

}  // namespace fdcn::impl
