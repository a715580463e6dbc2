#include "request/resolve.h"

#include <algorithm>
#include <cmath>

#include "messages.h"
#include "plan/evaluations.h"
#include "plan/s_max.h"
#include "request/class_names.h"
#include "request/noise.h"
#include "request/sizes.h"
#include "tables.h"
#include "text/python_text.h"

namespace fdcn::impl {
namespace {

__extension__ typedef unsigned __int128 Product;

std::string decimal(Product number) {
    std::string digits;
    do {
        digits.insert(digits.begin(), static_cast<char>('0' + static_cast<int>(number % 10)));
        number /= 10;
    } while (number != 0);
    return digits;
}

void check_number(Product images) {
    if (images > static_cast<Product>(tables::kImagesAtMost))
        throw Error(messages::request::too_many(decimal(images), tables::kImagesAtMost));
}

// Every class where there are few, else the first.
std::vector<Label> default_labels(Manifest const& manifest) {
    std::int64_t const classes = manifest.model.classes;
    std::vector<Label> labels;
    for (std::int64_t i = 0; i < (classes <= tables::kEveryClassUpTo ? classes : 1); ++i) labels.emplace_back(i);
    return labels;
}

std::vector<std::int64_t> chosen_labels(Manifest const& manifest, Request const& request) {
    if (request.count < 1) throw Error(messages::request::count(request.count));
    std::vector<Label> const labels = request.labels.empty() ? default_labels(manifest) : request.labels;
    check_number(static_cast<Product>(labels.size()) * static_cast<Product>(request.count));
    ClassNames names(manifest);
    std::vector<std::int64_t> chosen;
    std::size_t const count = static_cast<std::size_t>(request.count);
    for (Label const& label : labels) chosen.insert(chosen.end(), count, names.index(label));
    return chosen;
}

void fit_labels_to_noise(std::vector<std::int64_t>& labels, std::int64_t images) {
    std::size_t const wanted = static_cast<std::size_t>(images);
    if (labels.size() == 1) {
        check_number(wanted);
        labels.assign(wanted, labels[0]);
    } else if (labels.size() != wanted) {
        throw Error(messages::request::noise_labels(images, labels.size()));
    }
}

void check_size(Manifest const& manifest, Size const& size) {
    if (size[0] < 1 || size[1] < 1) throw Error(messages::request::no_pixels(format_size(size)));
    if (std::max(size[0], size[1]) > tables::kAtMost)
        throw Error(messages::request::too_large(format_size(size), tables::kAtMost));
    auto const& fixed = manifest.fixed_size;
    if (fixed && latent_size(manifest, size) != latent_size(manifest, *fixed))
        throw Error(messages::request::fixed_size(format_size(*fixed), format_size(size)));
}

Size chosen_size(Manifest const& manifest, Request const& request) {
    Size size = manifest.fixed_size.value_or(manifest.train_size);
    if (request.noise)
        size = size_of_noise(manifest, *request.noise, request.width, request.height);
    else
        size = {request.width.value_or(size[0]), request.height.value_or(size[1])};
    check_size(manifest, size);
    return size;
}

std::vector<std::uint64_t> chosen_seeds(Request const& request, std::size_t images) {
    if (!request.seeds.empty()) {
        if (request.seeds.size() != images) throw Error(messages::request::seeds(request.seeds.size(), images));
        return request.seeds;
    }
    std::vector<std::uint64_t> seeds;
    for (std::size_t i = 0; i < images; ++i) seeds.push_back(request.seed + i);
    return seeds;
}

std::int64_t chosen_steps(Manifest const& manifest, Request const& request) {
    if (request.steps) return *request.steps;
    if (request.solver.empty() || request.solver == manifest.sampling.solver) return manifest.sampling.steps;
    check_solver(request.solver);
    throw Error(messages::request::steps_needed(request.solver));
}

Guidance chosen_guidance(Manifest const& manifest, Request const& request) {
    double const scale = request.guidance.value_or(manifest.sampling.guidance);
    if (!std::isfinite(scale)) throw Error(messages::request::guidance(str(scale)));
    std::string const& channels = request.guidance_channels;
    if (channels != "all" && channels != "3") throw Error(messages::request::guidance_channels(repr(channels)));
    auto const [low, high] = request.guidance_interval;
    if (!(0 <= low && low <= high && high <= 1))
        throw Error(messages::request::guidance_interval(str(low), str(high)));
    return {scale, channels == "3", request.guidance_interval};
}

}  // namespace

Resolved resolve(Manifest const& manifest, Request const& request) {
    Resolved wanted{};
    wanted.labels = chosen_labels(manifest, request);
    if (request.noise) {
        check_noise(manifest, *request.noise);
        fit_labels_to_noise(wanted.labels, request.noise->shape[0]);
    }
    wanted.size = chosen_size(manifest, request);
    wanted.seeds = chosen_seeds(request, wanted.labels.size());
    wanted.latent = latent_size(manifest, wanted.size);
    wanted.solver = request.solver.empty() ? manifest.sampling.solver : request.solver;
    wanted.steps = chosen_steps(manifest, request);
    wanted.last_step = request.last_step;
    wanted.guidance = chosen_guidance(manifest, request);
    wanted.s_max_adjust = request.s_max_adjust.value_or(manifest.sampling.s_max_adjust);
    wanted.noise = request.noise;
    return wanted;
}

std::vector<std::string> label_names(Manifest const& manifest, std::vector<std::int64_t> const& labels) {
    ClassNames names(manifest);
    std::vector<std::string> texts;
    for (std::int64_t const label : labels) texts.push_back(names.label(label));
    return texts;
}

SamplerPlan plan_for(Manifest const& manifest, Resolved const& wanted, std::vector<StepGroup> const& step_groups) {
    PlanSettings settings;
    settings.solver = wanted.solver;
    settings.steps = wanted.steps;
    settings.blocks = manifest.model.blocks;
    settings.last_step = wanted.last_step;
    settings.guidance = wanted.guidance;
    settings.reach = manifest.sampling.reach;
    settings.step_groups = step_groups;
    if (wanted.s_max_adjust) {
        std::int64_t const patch = manifest.model.patch;
        double const unit = static_cast<double>(patch * manifest.pixel_factor);
        for (std::size_t side = 0; side < 2; ++side) {
            double const tokens = static_cast<double>(wanted.latent[1 - side] / patch);
            settings.stretch[side] = tokens / (static_cast<double>(manifest.train_size[side]) / unit);
        }
    }
    return sampler_plan(settings);
}

std::vector<std::string> notes_on(Manifest const& manifest, Resolved const& wanted) {
    bool const larger = wanted.size[0] > manifest.train_size[0] || wanted.size[1] > manifest.train_size[1];
    if (!wanted.s_max_adjust || !larger || s_max_touches(manifest.model.blocks)) return {};
    return {messages::request::s_max_note(manifest.model.blocks)};
}

}  // namespace fdcn::impl
