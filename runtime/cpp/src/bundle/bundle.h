// An opened bundle: its manifest, and checked paths.
#pragma once

#include <mutex>
#include <set>
#include <string>

#include "bundle/manifest.h"

namespace fdcn::impl {

// Several threads may use one.
class Bundle {
public:
    // Throws Error where there is none, or one that this version cannot read.
    explicit Bundle(std::string path);

    std::string const& path() const { return path_; }
    Manifest const& manifest() const { return manifest_; }
    // Path of one file after checking its size and sha256, once an opened bundle.
    std::string file(std::string const& name) const;
    // Path of a graph's file after checking it and its weights.
    std::string graph(Graph const& graph) const;

private:
    std::string path_;
    Manifest manifest_;
    mutable std::mutex checking_;
    mutable std::set<std::string> checked_;
};

}  // namespace fdcn::impl
