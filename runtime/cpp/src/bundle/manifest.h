// What manifest.json says; the records of bundle.py, of which the runtime reads these.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace fdcn::impl {

using Size = std::array<std::int64_t, 2>;  // (width, height) in pixels

struct File {
    std::int64_t bytes;
    std::string sha256;
};

struct Graph {
    std::string file;
    std::vector<std::string> data;
};

struct Extent {
    std::int64_t width, height, batch;
};

struct Profile {
    Extent min, opt, max;
};

struct Plugin {
    std::string kind;
    std::int64_t version;
    std::optional<std::string> sha256, file;
};

struct Target {
    std::string flavour, version;
    std::vector<std::string> compute;
    std::string cuda;
    std::optional<std::string> driver;
    std::string precision;
    std::vector<Profile> profiles;
    Plugin plugin;
    std::optional<std::int64_t> workspace;
    bool refittable;
};

struct StepGroup {
    double until;
    std::string graph;
};

struct Engine {
    std::string backend, key;
    std::map<std::string, Graph> graphs;
    std::optional<Target> target;
    std::vector<StepGroup> step_groups;

    std::string precision() const;
};

struct Manifest {
    struct {
        std::int64_t blocks, channels, classes, patch;
    } model;
    struct {
        std::string solver;
        std::int64_t steps;
        double guidance, reach;
        bool s_max_adjust;
    } sampling;
    struct {
        std::int64_t token, pixel, latent_pair;
    } memory;
    Size train_size;
    std::optional<Size> fixed_size;
    std::int64_t pixel_factor;
    std::optional<std::vector<std::string>> class_names;
    std::map<std::string, Graph> graphs;
    std::vector<Engine> engines;
    std::set<std::string> calibration;  // its files
    std::map<std::string, File> files;

    // Paths of every file that graphs, engines and the calibration name.
    std::set<std::string> paths() const;
};

// Read the text of a manifest. `path` is the bundle's folder, for messages. Throws Error as Bundle.open does.
Manifest parse_manifest(std::string_view text, std::string const& path);

}  // namespace fdcn::impl
