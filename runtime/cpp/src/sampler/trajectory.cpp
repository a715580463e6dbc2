#include "sampler/trajectory.h"

#include <algorithm>

#include "text/python_text.h"

namespace fdcn::impl {

Trajectory::Trajectory(Network& network, Arena const& arena, BatchShape const& shape)
    : network_(network),
      arena_(arena),
      device_(*network.device()),
      shape_(shape),
      blocks_(network.manifest().model.blocks),
      tables_(shape, blocks_),
      picture_(network, shape, layout_) {
    make_contexts();
    lay_out();
    std::string const what = std::to_string(shape.images) + " images of " + format_size(shape.size);
    memory_ = allocated(device_, what, layout_.size());
    given_ = allocated_pinned(device_, what, tables_.size());
    got_ = allocated_pinned(device_, what, read_.size());
    for (HeldEvent& event : events_) event = {device_, device_.new_event()};
    bind();
}

void Trajectory::make_contexts() {
    for (auto const& [graph, passes] : shape_.rows) {
        std::int64_t const rows = passes * shape_.images;
        std::unique_ptr<Context>& context = contexts_[{graph, rows}];
        if (context) continue;
        LoadedGraph& loaded = network_.graph(graph);
        auto const [channels, height, width] = shape_.latent;
        auto const fit = network_.fit(graph, rows, {height, width});
        if (!fit || fit->parts.size() > 1) throw network_.outside(graph, rows, {height, width});
        std::map<std::string, Shape> shapes{{"latent", {rows, channels, height, width}}, {"s_max", {rows, blocks_, 2}}};
        for (char const* name : {"modulation", "final"}) {
            shapes[name] = loaded.shape(name);
            shapes[name].at(0) = rows;
        }
        context = loaded.context();
        context->reshape(fit->profile, shapes, device_.stream());
    }
}

void Trajectory::lay_out() {
    std::int64_t const rows = shape_.passes() * shape_.images, batch = shape_.images * shape_.elements();
    tables_block_ = layout_.add<char>(static_cast<std::int64_t>(tables_.size()));
    latent_ = layout_.add<float>(rows * shape_.elements());
    velocity_ = layout_.add<float>(rows * shape_.elements());
    modulation_ = layout_.add<float>(rows * arena_.modulation_width());
    final_ = layout_.add<float>(rows * arena_.final_width());
    s_max_ = layout_.add<float>(rows * 2 * blocks_);
    base_ = layout_.add<float>(batch);
    point_ = layout_.add<float>(batch);
    predicted_ = layout_.add<float>(batch);
    history_ = layout_.add<float>(shape_.history * batch);
    wrong_ = layout_.add<std::int32_t>(1);
    if (!shape_.drawn) noise_ = layout_.add<float>(batch);
    pixels_ = layout_.add<std::uint8_t>(picture_.pixels());

    read_point_ = read_.add<float>(batch);
    read_pixels_ = read_.add<std::uint8_t>(picture_.pixels());
    read_wrong_ = read_.add<std::int32_t>(1);
}

void Trajectory::bind() {
    picture_.place(memory_.get());
    for (auto const& [key, context] : contexts_) {
        LoadedGraph const& graph = network_.graph(key.first);
        context->bind("latent", at<void>(latent_));
        context->bind("modulation", at<void>(modulation_));
        context->bind("final", at<void>(final_));
        context->bind("s_max", at<void>(s_max_));
        context->bind(graph.outputs().at(0), at<void>(velocity_));
    }
}

void Trajectory::fill(Batch const& batch) {
    tables_.fill(given_.get(), batch);
    if (batch.noise) {
        Copy const kind = batch.noise->on_device ? Copy::kWithin : Copy::kToDevice;
        device_.copy("noise", at<void>(noise_), batch.noise->data.get(), noise_.bytes, kind, device_.stream());
    }
}

void Trajectory::place_slots(std::size_t r, std::int32_t const* slots, std::size_t count) {
    std::copy_n(slots, count, tables_.slots(given_.get(), r));
}

void Trajectory::upload_slots(std::size_t r, Stream stream) {
    device_.copy("slots", tables_.slots(device_tables(), r), tables_.slots(given_.get(), r), tables_.slots_bytes(),
                 Copy::kToDevice, stream);
}

void Trajectory::begin(std::size_t rows, Stream stream) {
    device_.copy("tables", device_tables(), given_.get(), tables_.size(rows), Copy::kToDevice, stream);
    device_.begin(shape_.drawn ? nullptr : at<float>(noise_), tables_.seeds(device_tables()), at<float>(base_),
                  at<float>(point_), at<float>(latent_), shape_.images, shape_.elements(), shape_.rows[0].second,
                  stream);
}

void Trajectory::row(std::size_t r, Stream stream, bool predicted) {
    auto const& [graph, passes] = shape_.rows[r];
    std::int64_t const rows = passes * shape_.images;
    void* const tables = device_tables();
    std::int32_t const* const slots = tables_.slots(tables, r);
    device_.gather(slots, arena_.modulations(), at<float>(modulation_), rows, arena_.modulation_width(), stream);
    device_.gather(slots, arena_.finals(), at<float>(final_), rows, arena_.final_width(), stream);
    device_.gather(tables_.own(tables, r), tables_.s_max(tables), at<float>(s_max_), rows, 2 * blocks_, stream);
    Context& context = *contexts_.at({graph, rows});
    auto const follows = [&name = graph](auto const& later) { return later.first == name; };
    auto const next = shape_.rows.begin() + static_cast<std::ptrdiff_t>(r) + 1;
    if (std::any_of(next, shape_.rows.end(), follows))
        context.enqueue(stream);
    else
        context.enqueue_last(stream);

    Advance advance{};
    advance.row = {tables_.numbers(tables, r), shape_.history};
    advance.velocity = at<float>(velocity_);
    advance.seeds = tables_.seeds(tables);
    advance.base = at<float>(base_);
    advance.point = at<float>(point_);
    advance.outputs = at<float>(history_);
    advance.input = at<float>(latent_);
    advance.predicted = predicted ? at<float>(predicted_) : nullptr;
    advance.images = shape_.images;
    advance.elements = shape_.elements();
    advance.guided = shape_.guided_elements();
    advance.newest = static_cast<int>(r) % shape_.history;
    advance.step = static_cast<int>(r) + 1;  // the noise of step 0 is the start's
    advance.passes = passes;
    advance.next_passes = r + 1 < shape_.rows.size() ? shape_.rows[r + 1].second : 0;
    device_.advance(advance, stream);
}

void Trajectory::finish(Stream stream) {
    device_.clear(at<void>(wrong_), wrong_.bytes, stream);
    device_.find_not_finite(at<float>(point_), shape_.images * shape_.elements(), at<std::int32_t>(wrong_), stream);
    picture_.enqueue(at<float>(point_), at<std::uint8_t>(pixels_), stream);
    fetch(point_, read_point_, stream);
    fetch(pixels_, read_pixels_, stream);
    fetch(wrong_, read_wrong_, stream);
}

void Trajectory::preview(Stream stream) {
    picture_.enqueue(at<float>(predicted_), at<std::uint8_t>(pixels_), stream);
    fetch(pixels_, read_pixels_, stream);
}

void Trajectory::fetch(Span const& from, Span const& to, Stream stream) {
    device_.copy("results", got<void>(to), at<void>(from), from.bytes, Copy::kToHost, stream);
}

void Trajectory::capture(Stream stream) {
    std::size_t const free = device_.free_memory();
    recording_ = device_.recorded(stream, [this](Stream to) {
        std::size_t const rows = shape_.rows.size();
        begin(rows, to);
        for (std::size_t r = 0; r < rows; ++r) row(r, to, false);
        finish(to);
    });
    std::size_t const left = device_.free_memory();
    recording_bytes_ = free > left ? free - left : 0;  // others take and give memory meanwhile: it is an estimate
}

}  // namespace fdcn::impl
