// Which prepared shapes are kept: the longest unused ones go when all together outgrow a budget. Policy alone, whatever
// the things are that it keeps.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <iterator>
#include <list>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

namespace fdcn::impl {

// Values by key, each in the hands of one thread at a time. Several threads may use one.
template <class Key, class Value>
class ShapeCache {
    struct Entry {
        Key key;
        std::unique_ptr<Value> value;
        std::size_t size = 0;
        bool busy = true;
        std::thread::id holder = std::this_thread::get_id();
    };
    using Entries = std::list<Entry>;

public:
    // `budget` and what `size` says of a value are in bytes, and with a budget of 0 nothing is kept; `close` is given
    // values that nobody holds, to end them.
    ShapeCache(std::size_t budget, std::function<std::size_t(Value const&)> size,
               std::function<void(std::unique_ptr<Value>)> close)
        : budget_(budget), size_(std::move(size)), close_(std::move(close)) {}
    ShapeCache(ShapeCache const&) = delete;

    // A value in one thread's hands, until this goes. Afterwards others are closed as far as the budget demands, and
    // this one last.
    class Held {
    public:
        Held(ShapeCache& cache, typename Entries::iterator entry) : cache_(&cache), entry_(entry) {}
        Held(Held&& other) noexcept : cache_(std::exchange(other.cache_, nullptr)), entry_(other.entry_) {}
        Held& operator=(Held&&) = delete;
        ~Held() {
            if (cache_) cache_->give_back(entry_);
        }

        Value& operator*() const { return *entry_->value; }
        Value* operator->() const { return entry_->value.get(); }

    private:
        friend ShapeCache;
        ShapeCache* cache_;
        typename Entries::iterator entry_;
    };

    // A key's value, made where it is not there. Waits for who has it; who has it already gets another one, and so does
    // everybody where nothing is kept.
    template <class Make>
    Held held(Key const& key, Make const& make) {
        Held held(*this, taken(key, true));
        if (!held.entry_->value) held.entry_->value = make();
        return held;
    }

    // Do something with a value that is there; it counts as no use of it.
    template <class Work>
    void with_if_there(Key const& key, Work const& work) {
        auto const entry = taken(key, false);
        if (entry == entries_.end()) return;
        Held const held(*this, entry);
        work(*held);
    }

    // Close every value that nobody holds; whether there was one.
    bool drop_idle() { return shrink(0); }

private:
    typename Entries::iterator taken(Key const& key, bool use) {
        std::unique_lock<std::mutex> lock(changing_);
        auto const self = std::this_thread::get_id();
        auto entry = entries_.end();
        if (use && !budget_) return entries_.insert(entry, Entry{key, nullptr});
        changed_.wait(lock, [&] {
            entry = find(key);
            return entry == entries_.end() || !entry->busy || entry->holder == self;
        });
        if (entry == entries_.end() || entry->busy)
            return use ? entries_.insert(entries_.end(), Entry{key, nullptr}) : entries_.end();
        entry->busy = true;
        entry->holder = self;
        if (use) entries_.splice(entries_.end(), entries_, entry);
        return entry;
    }

    // An idle entry of a key rather than a busy one.
    typename Entries::iterator find(Key const& key) {
        auto found = entries_.end();
        for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
            if (entry->key < key || key < entry->key) continue;
            if (!entry->busy) return entry;
            if (found == entries_.end() || entry->holder == std::this_thread::get_id()) found = entry;
        }
        return found;
    }

    void give_back(typename Entries::iterator entry) {
        {
            std::lock_guard<std::mutex> const lock(changing_);
            if (entry->value) {
                entry->size = size_(*entry->value);
                entry->busy = false;
            } else {
                entries_.erase(entry);
            }
            changed_.notify_all();
        }
        shrink(budget_);
    }

    // Close idle values, the longest unused first, until all fit into a budget; whether any was closed.
    bool shrink(std::size_t budget) {
        Entries closed;
        {
            std::lock_guard<std::mutex> const lock(changing_);
            std::size_t total = 0;
            for (Entry const& entry : entries_) total += entry.size;
            for (auto entry = entries_.begin(); entry != entries_.end();) {
                auto const next = std::next(entry);
                if (total > budget && !entry->busy) {
                    total -= entry->size;
                    closed.splice(closed.end(), entries_, entry);
                }
                entry = next;
            }
        }
        for (Entry& entry : closed) close_(std::move(entry.value));
        return !closed.empty();
    }

    std::size_t const budget_;
    std::function<std::size_t(Value const&)> const size_;
    std::function<void(std::unique_ptr<Value>)> const close_;
    Entries entries_;  // the longest unused first
    std::mutex changing_;
    std::condition_variable changed_;
};

}  // namespace fdcn::impl
