#include "sampler/arena.h"

#include <algorithm>
#include <cstring>

namespace fdcn::impl {

namespace {

// Runs of the conditioner whose inputs wait in the host's memory at a time.
constexpr std::int64_t kRing = 64;

std::int64_t width_of(LoadedGraph const& conditioner, char const* output) {
    std::int64_t width = 1;
    Shape const shape = conditioner.shape(output);
    for (std::size_t axis = 1; axis < shape.size(); ++axis) width *= shape[axis];
    return width;
}

// Consecutive parts of a list, at most `most` long, as even as can be.
template <class T>
std::vector<std::vector<T>> split(std::vector<T> const& whole, std::int64_t most) {
    auto const total = static_cast<std::int64_t>(whole.size()), parts = (total + most - 1) / most;
    std::vector<std::vector<T>> found;
    for (std::int64_t i = 0; i < parts; ++i)
        found.emplace_back(whole.begin() + total * i / parts, whole.begin() + total * (i + 1) / parts);
    return found;
}

template <class T>
void write(Span const& span, char* block, std::vector<T> const& values) {
    std::memcpy(span.in(block), values.data(), sizeof(T) * values.size());
}

}  // namespace

Arena::Arena(Network& network)
    : network_(network),
      device_(*network.device()),
      limits_(network.conditioning()),
      modulation_width_(width_of(network.graph("conditioner"), "modulation")),
      final_width_(width_of(network.graph("conditioner"), "final")),
      cache_(limits_.kept) {
    times_ = inputs_.add<float>(limits_.times);
    classes_ = inputs_.add<std::int64_t>(limits_.classes);
    numbers_ = inputs_.add<std::int32_t>(limits_.made);
    made_ = inputs_;
    made_modulations_ = made_.add<float>(limits_.made * modulation_width_);
    made_finals_ = made_.add<float>(limits_.made * final_width_);
}

std::vector<std::int32_t> Arena::slots(std::vector<Key> const& keys,
                                       std::function<std::vector<Key>()> const& ahead) {
    ready();
    if (!cache_.holds(keys)) {
        std::vector<Key> everything = keys;
        for (Key const& key : ahead()) everything.push_back(key);
        std::vector<Key> const missing = cache_.reserve(everything).missing;
        try {
            for (Product const& product : products(missing)) make(product);
        } catch (...) {
            cache_.forget(missing);
            throw;
        }
    }
    return cache_.reserve(keys).slots;
}

// Take the memory that everything lies in, when it is first used.
void Arena::ready() {
    if (context_) return;
    std::string const slots = "the cache of modulations", made = "the conditioner's inputs and outputs";
    auto const bytes = [&](std::int64_t width) { return sizeof(float) * static_cast<std::size_t>(width * capacity()); };
    modulations_ = allocated(device_, slots, bytes(modulation_width_));
    finals_ = allocated(device_, slots, bytes(final_width_));
    made_block_ = allocated(device_, made, made_.size());
    staged_ = allocated_pinned(device_, made, kRing * inputs_.size());
    auto context = network_.graph("conditioner").context();
    context->bind("t", times_.in(made_block_.get()));
    context->bind("label", classes_.in(made_block_.get()));
    context->bind("modulation", made_modulations_.in(made_block_.get()));
    context->bind("final", made_finals_.in(made_block_.get()));
    context_ = std::move(context);
}

// Give the stream the conditioner's work for all pairs of times and classes, into their slots.
void Arena::make(Product const& product) {
    for (auto const& times : split(product.times, std::min(limits_.times, limits_.made))) {
        std::int64_t const together = limits_.made / static_cast<std::int64_t>(times.size());
        for (auto const& classes : split(product.classes, std::clamp<std::int64_t>(together, 1, limits_.classes)))
            run(times, classes);
    }
}

void Arena::run(std::vector<float> const& times, std::vector<std::int64_t> const& classes) {
    std::vector<std::int32_t> numbers;
    for (float const t : times)
        for (std::int64_t const label : classes) numbers.push_back(cache_.slot({t, label}));
    std::int64_t const turn = runs_ % kRing;
    if (runs_ && !turn) device_.synchronize("making modulations");  // the copies out of the ring are done
    ++runs_;
    char* const staged = static_cast<char*>(staged_.get()) + static_cast<std::size_t>(turn) * inputs_.size();
    write(times_, staged, times);
    write(classes_, staged, classes);
    write(numbers_, staged, numbers);

    void* const block = made_block_.get();
    Stream const stream = device_.stream();
    device_.copy("the conditioner's inputs", block, staged, inputs_.size(), Copy::kToDevice, stream);
    context_->reshape(0,
                      {{"t", {static_cast<std::int64_t>(times.size())}},
                       {"label", {static_cast<std::int64_t>(classes.size())}}},
                      stream);
    context_->enqueue(stream);
    auto const* const to = static_cast<std::int32_t*>(numbers_.in(block));
    auto const rows = static_cast<std::int64_t>(numbers.size());
    auto const scatter = [&](Span const& made, Memory const& slots, std::int64_t width) {
        device_.scatter(to, static_cast<float*>(made.in(block)), static_cast<float*>(slots.get()), rows, width, stream);
    };
    scatter(made_modulations_, modulations_, modulation_width_);
    scatter(made_finals_, finals_, final_width_);
}

}  // namespace fdcn::impl
