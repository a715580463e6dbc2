#include "tensorrt/choice.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include "contract.h"
#include "fdcn/fdcn.hpp"
#include "messages.h"
#include "tensorrt/command.h"
#include "text/python_text.h"

namespace fdcn::impl {
namespace {

namespace say = messages::choice;

std::string build(std::string const& bundle, std::string_view option) {
    return say::build(bundle, option.empty() ? std::string() : " " + std::string(option));
}

// As much of a whole version as the other one tells: Python's packages may leave out its fourth number.
std::string as_told(std::string const& whole, std::string const& other) {
    auto const dots = std::max<std::ptrdiff_t>(2, std::count(other.begin(), other.end(), '.'));
    std::size_t end = 0;
    for (std::ptrdiff_t i = 0; i <= dots && end != std::string::npos; ++i) end = whole.find('.', end + (i > 0));
    return whole.substr(0, end);
}

// The number that a text begins with, 0 where there is none.
int leading_number(std::string const& text) {
    int number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);
    return number;
}

std::optional<Obstacle> version_obstacle(Target const& target, Installed const& installed, std::string const& mend) {
    if (target.flavour != "tensorrt" && target.flavour != "tensorrt-rtx")
        return Obstacle{say::does_not_load(target.flavour, target.version),
                        say::unknown_flavour("tensorrt, tensorrt-rtx")};
    if (target.flavour != installed.flavour)
        return Obstacle{say::does_not_load(target.flavour, target.version), say::other_library(target.flavour)};
    std::string const found = as_told(installed.version, target.version);
    if (found != target.version) return Obstacle{say::other_version(target.flavour, target.version, found), mend};
    return std::nullopt;
}

std::optional<Obstacle> gpu_obstacle(Target const& target, Machine const& machine, std::string const& mend) {
    Gpu const& gpu = machine.gpu;
    // TensorRT ends the process where it finds such a driver.
    int const cuda = std::max(leading_number(target.cuda), machine.installed.cuda);
    if (cuda > gpu.cuda / 1000)
        return Obstacle{say::old_driver(cuda, gpu.driver.value_or("None"), gpu.newest_cuda()), say::update_driver()};
    auto const& known = target.compute;
    if (std::find(known.begin(), known.end(), gpu.architecture()) == known.end())
        return Obstacle{say::other_gpu(joined(known, ", "), gpu.architecture()), mend};
    return std::nullopt;
}

std::optional<Obstacle> plugin_obstacle(Plugin const& plugin, std::string const& mend) {
    if (plugin.kind != "none" && plugin.version != kVersion)
        return Obstacle{say::other_operator(plugin.version, kVersion), mend};
    for (char const* known : {"library", "python", "aot", "none"})
        if (plugin.kind == known) return std::nullopt;
    return Obstacle{say::no_plugin(), say::plugin_in_python()};
}

// The sentence for engines none of which can be loaded.
std::string none_loads(std::string const& bundle, Machine const& machine,
                       std::vector<std::pair<std::string, Obstacle>> const& met) {
    std::vector<std::string> reasons, mends;
    for (auto const& [key, found] : met) {
        reasons.push_back(key + " " + found.why);
        if (std::find(mends.begin(), mends.end(), found.mend) == mends.end()) mends.push_back(found.mend);
    }
    std::string const gpu = machine.gpu.name + " (" + machine.gpu.architecture() + ")";
    if (met.empty()) return say::no_engine(bundle, gpu, build(bundle, "--fp16"), say::on_cpu());
    return say::none_loads(bundle, gpu, joined(reasons, "; "), joined(mends, ", or "), say::on_cpu());
}

}  // namespace

std::optional<Obstacle> obstacle(std::string const& bundle, Engine const& engine, Machine const& machine) {
    if (!engine.target) return Obstacle{say::no_target(), build(bundle, "--fp16")};
    Target const& target = *engine.target;
    bool const possible = has_precision(machine.gpu.compute, target.precision);
    std::string const mend = build(bundle, precision_option(possible ? target.precision : "float16"));
    if (auto found = version_obstacle(target, machine.installed, mend)) return found;
    if (auto found = gpu_obstacle(target, machine, mend)) return found;
    return plugin_obstacle(target.plugin, mend);
}

Engine const& choose(std::string const& bundle, std::vector<Engine> const& engines, Machine const& machine) {
    std::vector<std::pair<std::string, Obstacle>> met;
    for (auto engine = engines.rbegin(); engine != engines.rend(); ++engine) {
        if (engine->backend != "tensorrt") continue;
        auto found = obstacle(bundle, *engine, machine);
        if (!found) return *engine;
        met.emplace_back(engine->key, std::move(*found));
    }
    throw Error(none_loads(bundle, machine, met));
}

}  // namespace fdcn::impl
