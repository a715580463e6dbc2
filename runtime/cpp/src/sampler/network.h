// A bundle's graphs on a device: what the sampler runs, whatever library runs them.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "bundle/manifest.h"
#include "fdcn/fdcn.hpp"
#include "sampler/batch.h"
#include "sampler/device.h"

namespace fdcn::impl {

using Shape = std::vector<std::int64_t>;

// What one run of a graph needs at a time: shapes and addresses. Not for two threads at a time.
class Context {
public:
    virtual ~Context() = default;
    // Sets the profile and every input's shape. Throws Error where the profile does not hold one.
    virtual void reshape(int profile, std::map<std::string, Shape> const& shapes, Stream stream) = 0;
    // An output's shape as it follows from the inputs'.
    virtual Shape shape(std::string const& output) = 0;
    // Where a tensor lies, at a multiple of 256.
    virtual void bind(std::string const& tensor, void* address) = 0;
    // Gives one run to a stream. Throws Error with the tensors' shapes where it fails.
    virtual void enqueue(Stream stream) = 0;
    // The same, for the last run of its graph in a sampling: what the runs took may be given back.
    virtual void enqueue_last(Stream stream) { enqueue(stream); }
};

// One graph, loaded: "conditioner", "denoiser" (and "denoiser-2", …), "decoder".
class LoadedGraph {
public:
    virtual ~LoadedGraph() = default;
    virtual std::vector<std::string> const& inputs() const = 0;
    virtual std::vector<std::string> const& outputs() const = 0;
    virtual Shape shape(std::string const& tensor) const = 0;  // dynamic axes are -1
    virtual std::unique_ptr<Context> context() = 0;
};

// The profile that a size is run in, and the parts [first, second) that its rows go in.
struct Fit {
    int profile;
    std::vector<std::array<std::int64_t, 2>> parts;
};

class Bundle;

class Network {
public:
    virtual ~Network() = default;
    virtual std::string const& name() const = 0;  // for people: which library runs which artifact
    virtual Manifest const& manifest() const = 0;
    virtual std::vector<StepGroup> const& step_groups() const = 0;
    // Results that stay on it keep it, and may outlive the network.
    virtual std::shared_ptr<Device> const& device() = 0;
    virtual bool has(std::string const& graph) const = 0;
    virtual LoadedGraph& graph(std::string const& name) = 0;

    // How a graph takes `rows` latents of (height, width); none where it cannot.
    virtual std::optional<Fit> fit(std::string const& graph, std::int64_t rows,
                                   std::array<std::int64_t, 2> const& latent) = 0;
    // What to say of something that does not fit.
    virtual Error outside(std::string const& graph, std::int64_t rows,
                          std::array<std::int64_t, 2> const& latent) = 0;
    // How many images like a batch's are best sampled at a time, from 1. Throws Error where not even one can be, or
    // for what the batch asks of a device that this is not.
    virtual std::int64_t together(Batch const& batch) = 0;
    // How many rows of the conditioner are kept, and at most made in one run (times, classes).
    struct Conditioning {
        std::int64_t kept, times, classes, made;
    };
    virtual Conditioning conditioning() = 0;
    // Bytes of prepared shapes that are kept.
    virtual std::size_t budget() = 0;

    // For as long as it is held, be the one thread that gives work to the graphs, on their device.
    class Turn {
    public:
        explicit Turn(Network& network) : lock_(network.turn_), current_(network.device()->current()) {}

    private:
        std::unique_lock<std::mutex> lock_;
        std::shared_ptr<void> current_;
    };

private:
    std::mutex turn_;
};

// Open a bundle's graphs as Options say, and as fdcn.runtime.backends.open_backend does. Throws Error.
std::unique_ptr<Network> open_network(std::shared_ptr<Bundle const> bundle, Options const& options);

}  // namespace fdcn::impl
