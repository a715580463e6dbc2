// Which engine a machine takes, which profile a run takes, and the commands that are named.
#include "parity.h"
#include "tensorrt/choice.h"
#include "tensorrt/command.h"
#include "tensorrt/profiles.h"

namespace fdcn::impl::parity {
namespace {

Extent extent(Json const& value) {
    auto const& numbers = *value.as<Json::Array>();
    auto const at = [&](std::size_t i) { return *numbers.at(i).as<std::int64_t>(); };
    return {at(0), at(1), at(2)};
}

std::vector<Profile> profiles(Json const& given) {
    std::vector<Profile> found;
    for (Json const& each : *member(given, "profiles").as<Json::Array>()) {
        auto const& ends = *each.as<Json::Array>();
        found.push_back({extent(ends.at(0)), extent(ends.at(1)), extent(ends.at(2))});
    }
    return found;
}

Command const kFit("fit_profile", [](Json const& given) -> Json {
    auto const found = fit(profiles(given), extent(member(given, "wanted")));
    if (!found) return {};
    Json::Array parts;
    for (auto const& part : found->parts) parts.push_back(as_array(part));
    return Json::Object{{"profile", std::int64_t{found->profile}}, {"parts", parts}};
});

Command const kNearest("nearest_profile", [](Json const& given) -> Json {
    return impl::text(nearest(profiles(given), extent(member(given, "wanted"))));
});

// Of the bundle whose manifest is given as text, for a machine.
Command const kChoose("choose_engine", [](Json const& given) -> Json {
    Json const& gpu = member(given, "gpu");
    Machine machine{{text(gpu, "name"), static_cast<int>(whole(gpu, "compute")), static_cast<int>(whole(gpu, "cuda")),
                     text(gpu, "driver")},
                    {text(given, "flavour"), text(given, "version"), static_cast<int>(whole(given, "cuda"))}};
    std::string const path = text(given, "path");
    return choose(path, parse_manifest(text(given, "text"), path).engines, machine).key;
});

Command const kBuildCommand("build_command", [](Json const& given) -> Json {
    std::string const path = text(given, "path");
    Manifest const manifest = parse_manifest(text(given, "text"), path);
    return build_command(path, *manifest.engines.back().target, {around(extent(member(given, "wanted")))});
});

}  // namespace
}  // namespace fdcn::impl::parity
