#include "sampler/conditioning.h"

#include <algorithm>
#include <cassert>

namespace fdcn::impl {

std::vector<Key> row_keys(PlanRow const& row, std::vector<std::int64_t> const& labels, std::int64_t null) {
    std::vector<Key> keys;
    keys.reserve(row.passes.size() * labels.size());
    for (Pass const& pass : row.passes)
        for (std::int64_t const label : labels) keys.emplace_back(row.t, pass.conditional ? label : null);
    return keys;
}

std::vector<Product> products(std::vector<Key> const& keys) {
    std::vector<std::int64_t> order;
    std::map<std::int64_t, std::vector<float>> times;
    for (auto const& [t, label] : keys) {
        if (!times.count(label)) order.push_back(label);
        times[label].push_back(t);
    }
    std::vector<Product> found;
    for (std::int64_t const label : order) {
        auto const same = std::find_if(found.begin(), found.end(),
                                       [&](Product const& product) { return product.times == times[label]; });
        if (same == found.end())
            found.push_back({times[label], {label}});
        else
            same->classes.push_back(label);
    }
    return found;
}

bool SlotCache::holds(std::vector<Key> const& keys) const {
    return std::all_of(keys.begin(), keys.end(), [&](Key const& key) { return entries_.count(key) > 0; });
}

SlotCache::Reserved SlotCache::reserve(std::vector<Key> const& keys) {
    Reserved reserved;
    // All that are there are used before any makes room.
    for (Key const& key : keys)
        if (auto const found = entries_.find(key); found != entries_.end())
            used_.splice(used_.end(), used_, found->second.used);
    for (Key const& key : keys) {
        if (entries_.count(key)) continue;
        std::int32_t const slot = free_slot();
        entries_[key] = {slot, used_.insert(used_.end(), key)};
        reserved.missing.push_back(key);
    }
    for (Key const& key : keys) reserved.slots.push_back(slot(key));
    return reserved;
}

std::int32_t SlotCache::free_slot() {
    if (!given_back_.empty()) {
        std::int32_t const slot = given_back_.back();
        given_back_.pop_back();
        return slot;
    }
    if (static_cast<std::int64_t>(entries_.size()) < capacity_) return static_cast<std::int32_t>(entries_.size());
    auto const oldest = entries_.find(used_.front());
    assert(oldest != entries_.end());
    std::int32_t const slot = oldest->second.slot;
    entries_.erase(oldest);
    used_.pop_front();
    return slot;
}

void SlotCache::forget(std::vector<Key> const& keys) {
    for (Key const& key : keys) {
        auto const found = entries_.find(key);
        if (found == entries_.end()) continue;
        given_back_.push_back(found->second.slot);
        used_.erase(found->second.used);
        entries_.erase(found);
    }
}

}  // namespace fdcn::impl
