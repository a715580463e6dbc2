// An engine of a bundle on a GPU, as far as it needs no header of CUDA or TensorRT: which sizes its graphs take, what
// is kept, and what to say. runtime/backends/trt_engine.py.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bundle/bundle.h"
#include "sampler/network.h"

namespace fdcn::impl {

// Smallest, best and largest shape of an input in a profile.
struct Range {
    Shape min, opt, max;
};

class ProfiledGraph : public LoadedGraph {
public:
    // An input's range in each profile.
    virtual std::vector<Range> ranges(std::string const& input) const = 0;
};

using ProfiledGraphs = std::map<std::string, std::unique_ptr<ProfiledGraph>>;

// The graphs' files of an engine with a target, by their names, checked. Throws Error where a graph is not listed, or a
// file is damaged.
std::map<std::string, std::string> engine_files(Bundle const& bundle, Engine const& engine);

// One engine, whose graphs are loaded on a device.
class EngineNetwork : public Network {
public:
    // Throws Error where the graphs' profiles are not what the manifest says. `name` is for people.
    EngineNetwork(std::shared_ptr<Bundle const> bundle, Engine const& engine, std::string name,
                  std::shared_ptr<Device> device, ProfiledGraphs graphs);
    ~EngineNetwork() override;

    std::string const& name() const override { return name_; }
    Manifest const& manifest() const override { return bundle_->manifest(); }
    std::vector<StepGroup> const& step_groups() const override { return engine_.step_groups; }
    std::shared_ptr<Device> const& device() override { return device_; }
    bool has(std::string const& graph) const override { return graphs_.count(graph) != 0; }
    LoadedGraph& graph(std::string const& name) override { return *graphs_.at(name); }

    std::optional<Fit> fit(std::string const& graph, std::int64_t rows,
                           std::array<std::int64_t, 2> const& latent) override;
    Error outside(std::string const& graph, std::int64_t rows, std::array<std::int64_t, 2> const& latent) override;
    // The most images of a batch's plan and size that a profile takes at a time.
    std::int64_t together(Batch const& batch) override;
    Conditioning conditioning() override;
    std::size_t budget() override;

private:
    Extent extent(std::int64_t rows, std::array<std::int64_t, 2> const& latent) const;
    std::vector<Profile> read_profiles(ProfiledGraph const& graph) const;
    void check_profiles() const;

    std::shared_ptr<Bundle const> bundle_;
    Engine engine_;
    std::string name_;
    std::shared_ptr<Device> device_;
    ProfiledGraphs graphs_;
    std::map<std::string, std::vector<Profile>> profiles_;
};

}  // namespace fdcn::impl
