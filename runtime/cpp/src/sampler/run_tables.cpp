#include "sampler/run_tables.h"

#include <algorithm>
#include <cassert>

#include "native/advance.h"

namespace fdcn::impl {

namespace {

// Where row `row` of a tensor with `rows` of them begins.
template <class T>
T* row_of(Span const& span, void* block, std::size_t row, std::size_t rows) {
    return static_cast<T*>(span.in(block)) + row * (span.bytes / sizeof(T) / rows);
}

void write_numbers(PlanRow const& row, float* to) {
    to = std::copy(row.base.begin(), row.base.end(), to);
    to = std::copy(row.point.begin(), row.point.end(), to);
    assert(row.passes.size() <= kPasses);
    std::fill_n(to, 2 * kPasses, 0.0f);
    for (std::size_t pass = 0; pass < row.passes.size(); ++pass) {
        to[2 * pass] = row.passes[pass].guided;
        to[2 * pass + 1] = row.passes[pass].rest;
    }
    std::copy(row.predicted.begin(), row.predicted.end(), to + 2 * kPasses);
}

}  // namespace

int row_numbers(int history) { return 2 * (history + 4) + 2 * kPasses + 2; }

RunTables::RunTables(BatchShape const& shape, std::int64_t blocks) : rows_(shape.rows.size()) {
    auto const rows = static_cast<std::int64_t>(rows_);
    std::int64_t const most = shape.passes() * shape.images;
    seeds_ = layout_.add<unsigned long long>(shape.images);
    numbers_ = layout_.add<float>(rows * row_numbers(shape.history));
    s_max_ = layout_.add<float>(rows * 2 * blocks);
    own_ = layout_.add<std::int32_t>(rows * most);
    slots_ = layout_.add<std::int32_t>(rows * most);
}

unsigned long long const* RunTables::seeds(void* block) const {
    return static_cast<unsigned long long*>(seeds_.in(block));
}

float const* RunTables::numbers(void* block, std::size_t row) const {
    return row_of<float>(numbers_, block, row, rows_);
}

float const* RunTables::s_max(void* block) const { return static_cast<float*>(s_max_.in(block)); }

std::int32_t const* RunTables::own(void* block, std::size_t row) const {
    return row_of<std::int32_t>(own_, block, row, rows_);
}

std::int32_t* RunTables::slots(void* block, std::size_t row) const {
    return row_of<std::int32_t>(slots_, block, row, rows_);
}

void RunTables::fill(void* block, Batch const& batch) const {
    std::copy(batch.seeds.begin(), batch.seeds.end(), static_cast<unsigned long long*>(seeds_.in(block)));
    for (std::size_t r = 0; r < rows_; ++r) {
        PlanRow const& row = batch.plan->rows[r];
        write_numbers(row, row_of<float>(numbers_, block, r, rows_));
        std::copy(row.s_max.begin(), row.s_max.end(), row_of<float>(s_max_, block, r, rows_));
        std::fill_n(row_of<std::int32_t>(own_, block, r, rows_), own_.bytes / sizeof(std::int32_t) / rows_,
                    static_cast<std::int32_t>(r));
    }
}

}  // namespace fdcn::impl
