#include "pipeline/batching.h"

namespace fdcn::impl {
namespace {

bool shares(Batch const& batch) {
    return !batch.noise && batch.preview_every == 0 && !batch.on_device && !batch.stream;
}

}  // namespace

bool alike(Job const& one, Job const& other) {
    Resolved const &a = one.request, &b = other.request;
    return shares(one.batch) && shares(other.batch) && a.size == b.size && a.solver == b.solver &&
           a.steps == b.steps && a.last_step == b.last_step && a.guidance == b.guidance &&
           a.s_max_adjust == b.s_max_adjust;
}

std::vector<std::size_t> choose(std::vector<Job const*> const& waiting, std::int64_t together) {
    Job const& oldest = *waiting.front();
    std::vector<std::size_t> chosen{0};
    std::int64_t images = oldest.images();
    for (std::size_t i = 1; i < waiting.size(); ++i)
        if (images + waiting[i]->images() <= together && alike(oldest, *waiting[i])) {
            chosen.push_back(i);
            images += waiting[i]->images();
        }
    return chosen;
}

}  // namespace fdcn::impl
