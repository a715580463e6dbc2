// Which modulations are wanted, and which are kept: each distinct (time, class) is computed once and stays while there
// is room. Bookkeeping alone; the rows themselves lie in an arena of slots.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <utility>
#include <vector>

#include "plan/plan.h"

namespace fdcn::impl {

using Key = std::pair<float, std::int64_t>;  // a time and a class

// What a row's batch is conditioned on: the passes in order, each with every image.
std::vector<Key> row_keys(PlanRow const& row, std::vector<std::int64_t> const& labels, std::int64_t null);

// Times and classes, all pairs of which are to be computed.
struct Product {
    std::vector<float> times;
    std::vector<std::int64_t> classes;
};

// Distinct keys as products; every key is in one of them, and nothing else is.
std::vector<Product> products(std::vector<Key> const& keys);

// Slots 0 to `slots` - 1 for keys; the least recently used key makes room.
class SlotCache {
public:
    explicit SlotCache(std::int64_t slots) : capacity_(slots) {}

    std::int64_t capacity() const { return capacity_; }
    bool holds(std::vector<Key> const& keys) const;

    struct Reserved {
        std::vector<std::int32_t> slots;  // one a key as they were given
        std::vector<Key> missing;         // those whose slot is still to be filled, in the order given
    };
    // The distinct ones of `keys` are at most `capacity`.
    Reserved reserve(std::vector<Key> const& keys);
    // The slot of a key that is there.
    std::int32_t slot(Key const& key) const { return entries_.at(key).slot; }
    // Give up keys whose slots were not filled after all.
    void forget(std::vector<Key> const& keys);

private:
    struct Entry {
        std::int32_t slot;
        std::list<Key>::iterator used;
    };

    std::int32_t free_slot();

    std::int64_t capacity_;
    std::map<Key, Entry> entries_;
    std::list<Key> used_;              // the longest unused one first
    std::vector<std::int32_t> given_back_;
};

}  // namespace fdcn::impl
