// Bundles: what a manifest says, and which files are whole.
#include "bundle/bundle.h"
#include "parity.h"

namespace fdcn::impl::parity {
namespace {

Json graphs(std::map<std::string, Graph> const& graphs) {
    Json::Object result;
    for (auto const& [name, graph] : graphs)
        result.emplace_back(name, Json::Object{{"file", graph.file}, {"data", as_array(graph.data)}});
    return result;
}

Json extent(Extent const& extent) { return Json::Array{extent.width, extent.height, extent.batch}; }

Json target(Target const& target) {
    Json::Array profiles;
    for (Profile const& profile : target.profiles)
        profiles.push_back(Json::Array{extent(profile.min), extent(profile.opt), extent(profile.max)});
    Plugin const& plugin = target.plugin;
    return Json::Object{
        {"flavour", target.flavour},
        {"version", target.version},
        {"compute", as_array(target.compute)},
        {"cuda", target.cuda},
        {"driver", as_json(target.driver)},
        {"precision", target.precision},
        {"profiles", profiles},
        {"plugin", Json::Array{plugin.kind, plugin.version, as_json(plugin.sha256), as_json(plugin.file)}},
        {"workspace", as_json(target.workspace)},
        {"refittable", target.refittable},
    };
}

Json engine(Engine const& engine) {
    Json::Array groups;
    for (StepGroup const& group : engine.step_groups) groups.push_back(Json::Array{group.until, group.graph});
    return Json::Object{{"backend", engine.backend},
                        {"key", engine.key},
                        {"precision", engine.precision()},
                        {"graphs", graphs(engine.graphs)},
                        {"target", engine.target ? target(*engine.target) : Json()},
                        {"step_groups", groups}};
}

Json all_of(Manifest const& m) {
    Json::Array engines;
    for (Engine const& each : m.engines) engines.push_back(engine(each));
    Json::Object files;
    for (auto const& [name, file] : m.files) files.emplace_back(name, Json::Array{file.bytes, file.sha256});
    return Json::Object{
        {"model", Json::Array{m.model.blocks, m.model.channels, m.model.classes, m.model.patch}},
        {"sampling", Json::Array{m.sampling.solver, m.sampling.steps, m.sampling.guidance, m.sampling.reach,
                                 m.sampling.s_max_adjust}},
        {"memory", Json::Array{m.memory.token, m.memory.pixel, m.memory.latent_pair}},
        {"train_size", as_array(m.train_size)},
        {"fixed_size", m.fixed_size ? as_array(*m.fixed_size) : Json()},
        {"pixel_factor", m.pixel_factor},
        {"class_names", m.class_names ? as_array(*m.class_names) : Json()},
        {"graphs", graphs(m.graphs)},
        {"engines", engines},
        {"files", files},
        {"paths", as_array(m.paths())},
    };
}

Command const kManifest("manifest", [](Json const& given) {
    return all_of(parse_manifest(text(given, "text"), text(given, "path")));
});
Command const kOpen("open", [](Json const& given) { return all_of(Bundle(text(given, "path")).manifest()); });
Command const kFile("file", [](Json const& given) -> Json {
    return Bundle(text(given, "path")).file(text(given, "name"));
});

}  // namespace
}  // namespace fdcn::impl::parity
