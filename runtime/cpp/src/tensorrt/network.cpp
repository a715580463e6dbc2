#include "tensorrt/network.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <set>
#include <utility>

#include "messages.h"
#include "sampler/batch_shape.h"
#include "tensorrt/command.h"
#include "tensorrt/profiles.h"
#include "text/python_text.h"

namespace fdcn::impl {
namespace {

namespace say = messages::tensorrt;

// Bytes of modulations that are kept, at most a part of the device's memory and of what is free.
constexpr std::size_t kKept = std::size_t{1} << 30, kKeptPart = 16, kKeptFreePart = 4;
// Bytes of modulations that the conditioner makes at a time: they are copied into their slots.
constexpr std::size_t kMadeAtOnce = std::size_t{32} << 20;
// Prepared shapes keep at most this part of the device's memory.
constexpr std::size_t kShapesPart = 8;

// The graphs that follow one another in a trajectory.
std::vector<std::string> denoisers(Engine const& engine) {
    std::vector<std::string> names{"denoiser"};
    for (StepGroup const& group : engine.step_groups) names.push_back(group.graph);
    return names;
}

// Of one row of the conditioner's outputs.
std::size_t conditioning_bytes(ProfiledGraph const& conditioner) {
    std::size_t bytes = 0;
    for (std::string const& output : conditioner.outputs()) {
        Shape const shape = conditioner.shape(output);
        bytes += 4 * std::accumulate(shape.begin() + 1, shape.end(), std::size_t{1}, [](std::size_t a, std::int64_t b) {
                     return a * static_cast<std::size_t>(b);
                 });
    }
    return bytes;
}

}  // namespace

std::map<std::string, std::string> engine_files(Bundle const& bundle, Engine const& engine) {
    std::vector<std::string> wanted = denoisers(engine);
    wanted.emplace_back("conditioner");
    for (std::string const& name : wanted)
        if (engine.graphs.count(name) == 0)
            throw Error(say::lacks_graph(engine.key, bundle.path(), build_command(bundle.path(), *engine.target)));
    std::map<std::string, std::string> files;
    for (auto const& [name, graph] : engine.graphs) files[name] = bundle.graph(graph);
    return files;
}

EngineNetwork::EngineNetwork(std::shared_ptr<Bundle const> bundle, Engine const& engine, std::string name,
                             std::shared_ptr<Device> device, ProfiledGraphs graphs)
    : bundle_(std::move(bundle)),
      engine_(engine),
      name_(std::move(name)),
      device_(std::move(device)),
      graphs_(std::move(graphs)) {
    for (auto const& [graph, loaded] : graphs_)
        if (graph != "conditioner") profiles_[graph] = read_profiles(*loaded);
    check_profiles();
}

EngineNetwork::~EngineNetwork() {
    auto const current = device_->current();
    graphs_.clear();
}

std::optional<Fit> EngineNetwork::fit(std::string const& graph, std::int64_t rows,
                                      std::array<std::int64_t, 2> const& latent) {
    return impl::fit(profiles_.at(graph), extent(rows, latent));
}

Error EngineNetwork::outside(std::string const& graph, std::int64_t rows, std::array<std::int64_t, 2> const& latent) {
    Target const& target = *engine_.target;
    Extent const wanted = extent(rows, latent);
    return Error(say::outside(text(wanted), target.precision, joined(target.compute, ", "),
                              text(nearest(profiles_.at(graph), wanted)),
                              build_command(bundle_->path(), target, {around(wanted)})));
}

std::int64_t EngineNetwork::together(Batch const& batch) {
    BatchShape const shape = BatchShape::of(batch);
    std::array<std::int64_t, 2> const latent{shape.latent[1], shape.latent[2]};
    std::set<std::pair<std::string, int>> const rows(shape.rows.begin(), shape.rows.end());
    auto const fits = [&](std::int64_t images) {
        return std::all_of(rows.begin(), rows.end(), [&](auto const& row) {
            auto const found = fit(row.first, row.second * images, latent);
            return found && found->parts.size() == 1;
        });
    };
    std::set<std::int64_t, std::greater<>> sizes;
    for (Profile const& profile : profiles_.at("denoiser")) sizes.insert(profile.max.batch / shape.passes());
    for (std::int64_t const images : sizes)
        if (images > 0 && fits(images)) return images;
    throw outside("denoiser", shape.passes() * shape.images, latent);
}

Network::Conditioning EngineNetwork::conditioning() {
    ProfiledGraph const& conditioner = *graphs_.at("conditioner");
    std::size_t const row = conditioning_bytes(conditioner);
    std::int64_t largest = 0;
    for (Profile const& profile : profiles_.at("denoiser")) largest = std::max(largest, profile.max.batch);
    std::size_t const kept =
        std::min({kKept, device_->total_memory() / kKeptPart, device_->free_memory() / kKeptFreePart});
    auto const made = static_cast<std::int64_t>(std::max<std::size_t>(1, kMadeAtOnce / row));
    std::int64_t const times = conditioner.ranges("t").at(0).max.at(0);
    std::int64_t const classes = conditioner.ranges("label").at(0).max.at(0);
    return {std::max(largest, static_cast<std::int64_t>(kept / row)), std::min(times, made), std::min(classes, made),
            std::min(made, times * classes)};
}

std::size_t EngineNetwork::budget() { return device_->total_memory() / kShapesPart; }

// Latents of (height, width) as profiles count them.
Extent EngineNetwork::extent(std::int64_t rows, std::array<std::int64_t, 2> const& latent) const {
    std::int64_t const factor = manifest().pixel_factor;
    return {latent[1] * factor, latent[0] * factor, rows};
}

// The profiles of an engine itself, in pixels.
std::vector<Profile> EngineNetwork::read_profiles(ProfiledGraph const& graph) const {
    auto const in_pixels = [this](Shape const& latent) { return extent(latent.at(0), {latent.at(2), latent.at(3)}); };
    std::vector<Profile> profiles;
    for (Range const& range : graph.ranges("latent"))
        profiles.push_back({in_pixels(range.min), in_pixels(range.opt), in_pixels(range.max)});
    return profiles;
}

void EngineNetwork::check_profiles() const {
    Target const& target = *engine_.target;
    auto const listed = [](std::vector<Profile> const& profiles) {
        return profiles.empty() ? std::string("none") : text(profiles);
    };
    for (std::string const& name : denoisers(engine_)) {
        if (same(profiles_.at(name), target.profiles)) continue;
        throw Error(say::profiles(path_text(bundle_->path(), engine_.graphs.at(name).file),
                                  listed(profiles_.at(name)), listed(target.profiles),
                                  build_command(bundle_->path(), target)));
    }
}

}  // namespace fdcn::impl
