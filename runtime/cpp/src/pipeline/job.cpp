#include "pipeline/job.h"

#include <algorithm>
#include <utility>

#include "messages.h"
#include "pipeline/images.h"
#include "text/python_text.h"

namespace fdcn::impl {
namespace {

// The progress of jobs that are sampled together: one that throws fails alone, and all of them end the run.
class Listeners {
public:
    explicit Listeners(std::vector<Job const*> const& jobs) : jobs_(jobs), failures_(jobs.size()) {}

    void operator()(std::int64_t done, std::int64_t total) {
        for (std::size_t i = 0; i < jobs_.size(); ++i) {
            if (failures_[i] || !jobs_[i]->progress) continue;
            try {
                jobs_[i]->progress(done, total);
            } catch (...) {
                failures_[i] = std::current_exception();
                if (all_failed()) throw;
            }
        }
    }

    bool all_failed() const {
        return std::all_of(failures_.begin(), failures_.end(), [](auto const& failure) { return failure != nullptr; });
    }
    std::exception_ptr const& failure(std::size_t job) const { return failures_[job]; }

private:
    std::vector<Job const*> const& jobs_;
    std::vector<std::exception_ptr> failures_;
};

Batch joined(std::vector<Job const*> const& jobs) {
    Batch batch = jobs.front()->batch;
    for (std::size_t i = 1; i < jobs.size(); ++i) {
        Batch const& other = jobs[i]->batch;
        batch.labels.insert(batch.labels.end(), other.labels.begin(), other.labels.end());
        batch.seeds.insert(batch.seeds.end(), other.seeds.begin(), other.seeds.end());
    }
    return batch;
}

// Images [first, last) of a batch.
Batch part(Batch const& batch, std::int64_t first, std::int64_t last) {
    Batch one = batch;
    one.labels.assign(batch.labels.begin() + first, batch.labels.begin() + last);
    one.seeds.assign(batch.seeds.begin() + first, batch.seeds.begin() + last);
    if (batch.noise) {
        auto const& whole = batch.noise->data;
        one.noise->data = {whole, whole.get() + first * batch.elements()};
        one.noise->shape[0] = last - first;
    }
    return one;
}

// What was sampled of each part, by images, `size` values each.
template <class T>
struct Pieces {
    struct Piece {
        std::shared_ptr<T const> values;
        std::int64_t images;
    };
    std::vector<Piece> pieces;
    std::int64_t size;

    // Images [first, last): as they were made where that is just these, or a copy, so that one request's pictures do
    // not keep the others' alive.
    std::shared_ptr<T const> images(std::int64_t first, std::int64_t last) const {
        if (pieces.size() == 1 && first == 0 && last == pieces[0].images) return pieces[0].values;
        std::shared_ptr<T[]> const copy(new T[static_cast<std::size_t>((last - first) * size)]);
        std::int64_t start = 0;
        for (Piece const& piece : pieces) {
            std::int64_t const from = std::max(first, start), to = std::min(last, start + piece.images);
            if (from < to)
                std::copy_n(piece.values.get() + (from - start) * size, (to - from) * size,
                            copy.get() + (from - first) * size);
            start += piece.images;
        }
        return {copy, copy.get()};
    }
};

// The parts of a batch, sampled, and what each job has of them.
class Made {
public:
    explicit Made(Batch const& batch) : batch_(batch) { latents_.size = batch.elements(); }

    void add(Sampled sampled, std::int64_t images) {
        channels_ = sampled.channels;
        pixels_.size = batch_.size[0] * batch_.size[1] * channels_;
        latents_.pieces.push_back({std::move(sampled.latents), images});
        pixels_.pieces.push_back({std::move(sampled.pixels), images});
        previews_.resize(sampled.previews.size());
        for (std::size_t f = 0; f < previews_.size(); ++f)
            previews_[f].insert(previews_[f].end(), sampled.previews[f].begin(), sampled.previews[f].end());
    }

    Images images(Job const& job, std::int64_t first) {
        std::int64_t const last = first + job.images();
        // A job with previews shares its batch with none.
        Sampled own{latents_.images(first, last), pixels_.images(first, last), channels_, std::move(previews_)};
        return Images(std::make_shared<Images::Data const>(job.request, job.names, batch_.latent, std::move(own),
                                                           batch_.on_device));
    }

private:
    Batch const& batch_;
    Pieces<float> latents_{};
    Pieces<std::uint8_t> pixels_{};
    std::int64_t channels_ = 0;
    std::vector<std::vector<std::uint8_t>> previews_;
};

}  // namespace

std::vector<Outcome> sample(Sampler& sampler, std::vector<Job const*> const& jobs) {
    Batch const whole = joined(jobs);
    Listeners listeners(jobs);
    auto const parts = split(sampler, whole);
    auto const rows = static_cast<std::int64_t>(whole.plan->rows.size());
    auto const total = rows * static_cast<std::int64_t>(parts.size());
    Made made(whole);
    std::vector<Outcome> outcomes;
    try {
        std::int64_t before = 0;
        for (Batch const& one : parts) {
            made.add(sampler.sample(one, [&](std::int64_t done) { listeners(before + done, total); }),
                     static_cast<std::int64_t>(one.labels.size()));
            before += rows;
        }
    } catch (...) {
        if (!listeners.all_failed()) throw;
        for (std::size_t i = 0; i < jobs.size(); ++i) outcomes.emplace_back(listeners.failure(i));
        return outcomes;
    }
    std::int64_t first = 0;
    for (std::size_t i = 0; i < jobs.size(); ++i) {
        if (listeners.failure(i))
            outcomes.emplace_back(listeners.failure(i));
        else
            outcomes.emplace_back(made.images(*jobs[i], first));
        first += jobs[i]->images();
    }
    return outcomes;
}

std::vector<Batch> split(Sampler& sampler, Batch const& batch) {
    std::int64_t const together = sampler.together(batch), images = static_cast<std::int64_t>(batch.labels.size());
    if (images <= together) return {batch};
    if (batch.on_device) throw Error(messages::sampling::one_piece(images, format_size(batch.size), together));
    std::vector<Batch> parts;
    for (std::int64_t i = 0; i < images; i += together) parts.push_back(part(batch, i, std::min(images, i + together)));
    return parts;
}

}  // namespace fdcn::impl
