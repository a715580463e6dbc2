#include <memory>
#include <set>
#include <utility>

#include <unistd.h>

#include "bundle/bundle.h"
#include "fdcn/fdcn.hpp"
#include "messages.h"
#include "pipeline/gate.h"
#include "pipeline/job.h"
#include "pipeline/worker.h"
#include "request/resolve.h"
#include "sampler/network.h"
#include "sampler/sampler.h"

namespace fdcn {
namespace {

using namespace impl;  // this file is where the library and its inside meet

// What samples, until it is closed. The worker's thread holds it too.
struct Sampling {
    explicit Sampling(std::unique_ptr<Network> opened)
        : network(std::move(opened)), sampler(std::make_unique<Sampler>(*network)), gate("the pipeline", [this] {
              sampler.reset();
              network.reset();
          }) {}

    std::unique_ptr<Network> network;
    std::unique_ptr<Sampler> sampler;
    Gate gate;
};

std::string shape_text(std::array<std::int64_t, 3> const& shape) {
    return "(" + std::to_string(shape[0]) + ", " + std::to_string(shape[1]) + ", " + std::to_string(shape[2]) + ")";
}

Images images_of(std::vector<Outcome> outcomes) {
    if (auto const* error = std::get_if<std::exception_ptr>(&outcomes.front())) std::rethrow_exception(*error);
    return std::get<Images>(std::move(outcomes.front()));
}

}  // namespace

struct Pipeline::Impl {
    Impl(std::shared_ptr<Bundle const> opened, std::unique_ptr<Network> network)
        : bundle(std::move(opened)),
          backend(network->name()),
          step_groups(network->step_groups()),
          names(manifest().class_names.value_or(std::vector<std::string>())),
          sampling(std::make_shared<Sampling>(std::move(network))),
          worker(
              [one = sampling](Job const& job) {
                  Gate::Inside const inside(one->gate);
                  return one->sampler->together(job.batch);
              },
              [one = sampling](std::vector<Job const*> const& jobs) {
                  Gate::Inside const inside(one->gate);
                  return sample(*one->sampler, jobs);
              }) {}

    Manifest const& manifest() const { return bundle->manifest(); }
    // A request, checked, and what it is sampled from.
    Job job(Request const& request) const;
    void warm_up(std::array<std::int64_t, 3> const& shape);
    void close();
    // Whether this is no fork of the process that loaded it: there the threads are missing that closing waits for.
    bool at_home() const { return process == ::getpid(); }

    pid_t const process = ::getpid();
    std::shared_ptr<Bundle const> const bundle;
    std::string const backend;
    std::vector<StepGroup> const step_groups;
    std::vector<std::string> const names;
    std::shared_ptr<Sampling> const sampling;
    Worker worker;
};

Job Pipeline::Impl::job(Request const& request) const {
    Resolved wanted = resolve(manifest(), request);
    if (request.preview_every < 0) throw Error(messages::request::preview_every(request.preview_every));
    Batch batch;
    batch.plan = std::make_shared<SamplerPlan const>(plan_for(manifest(), wanted, step_groups));
    batch.labels = wanted.labels;
    batch.seeds = wanted.seeds;
    batch.null = manifest().model.classes;
    batch.latent = {manifest().model.channels, wanted.latent[0], wanted.latent[1]};
    batch.size = wanted.size;
    batch.noise = wanted.noise;
    batch.preview_every = request.preview_every;
    batch.on_device = request.on_device;
    batch.stream = request.stream;
    std::vector<std::string> shown = label_names(manifest(), wanted.labels);
    return {std::move(wanted), std::move(batch), std::move(shown), request.progress};
}

void Pipeline::Impl::warm_up(std::array<std::int64_t, 3> const& shape) {
    if (shape[0] < 1 || shape[1] < 1 || shape[2] < 1) throw Error(messages::request::warm_up(shape_text(shape)));
    Gate::Inside const inside(sampling->gate);
    Request request;
    request.labels = {std::int64_t{0}};
    request.width = shape[0];
    request.height = shape[1];
    request.count = shape[2];
    std::set<std::size_t> prepared;
    for (Batch const& part : split(*sampling->sampler, job(request).batch))
        if (prepared.insert(part.labels.size()).second) sampling->sampler->warm_up(part);
}

void Pipeline::Impl::close() {
    if (!at_home()) return;
    worker.close(sampling->gate.error());
    sampling->gate.close();
    worker.join();
}

Pipeline Pipeline::load(std::string const& path, Options const& options) {
    auto bundle = std::make_shared<Bundle const>(path);
    auto network = open_network(bundle, options);
    // A fork leaves its copy as it is.
    auto const end = [](Impl* impl) {
        if (impl->at_home()) delete impl;
    };
    Pipeline pipeline(std::shared_ptr<Impl>(new Impl(std::move(bundle), std::move(network)), end));
    pipeline.warm_up(options.warmup);
    return pipeline;
}

Pipeline::Pipeline(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

Pipeline::Pipeline(Pipeline&&) noexcept = default;

Pipeline& Pipeline::operator=(Pipeline&& other) noexcept {
    Pipeline taken(std::move(other));
    std::swap(impl_, taken.impl_);  // what this was is closed with `taken`
    return *this;
}

Pipeline::~Pipeline() {
    if (impl_) impl_->close();
}

// What is called holds the inside of a pipeline, since its progress may end the pipeline itself.
Images Pipeline::run(Request const& request) const {
    auto const own = impl_;
    Gate::Inside const inside(own->sampling->gate);
    Job const job = own->job(request);
    return images_of(sample(*own->sampling->sampler, {&job}));
}

Future Pipeline::submit(Request const& request) const {
    auto const own = impl_;
    Gate::Inside const inside(own->sampling->gate);
    Job job = own->job(request);
    split(*own->sampling->sampler, job.batch);
    return own->worker.submit(std::move(job));
}

void Pipeline::warm_up(std::vector<std::array<std::int64_t, 3>> const& shapes) const {
    auto const own = impl_;
    for (auto const& shape : shapes) own->warm_up(shape);
}

std::vector<std::string> Pipeline::notes(Request const& request) const {
    return notes_on(impl_->manifest(), resolve(impl_->manifest(), request));
}

void Pipeline::close() {
    auto const own = impl_;
    own->close();
}

std::string const& Pipeline::backend() const {
    return impl_->backend;
}

std::int64_t Pipeline::classes() const {
    return impl_->manifest().model.classes;
}

std::vector<std::string> const& Pipeline::class_names() const {
    return impl_->names;
}

std::array<std::int64_t, 2> Pipeline::train_size() const {
    return impl_->manifest().train_size;
}

}  // namespace fdcn
