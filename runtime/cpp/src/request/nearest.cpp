#include "request/nearest.h"

#include <algorithm>
#include <utility>

namespace fdcn::impl {
namespace {

// In a word of so many characters those that stand at more than one place in a hundred are not looked for.
constexpr std::size_t kLong = 200;

double ratio_of(std::size_t matches, std::size_t length) {
    return length == 0 ? 1.0 : 2.0 * static_cast<double>(matches) / static_cast<double>(length);
}

}  // namespace

Likeness::Likeness(std::u32string word) : word_(std::move(word)) {
    for (std::size_t i = 0; i < word_.size(); ++i) places_[word_[i]].push_back(i);
    if (word_.size() < kLong) return;
    std::size_t const most = word_.size() / 100 + 1;
    for (auto entry = places_.begin(); entry != places_.end();)
        entry = entry->second.size() > most ? places_.erase(entry) : std::next(entry);
}

double Likeness::at_most(std::u32string_view text) const {
    return ratio_of(std::min(text.size(), word_.size()), text.size() + word_.size());
}

double Likeness::ratio(std::u32string_view text) const {
    std::size_t matches = 0;
    std::vector<Region> open{{0, text.size(), 0, word_.size()}};
    while (!open.empty()) {
        Region const region = open.back();
        open.pop_back();
        Match const match = longest(text, region);
        if (match.size == 0) continue;
        matches += match.size;
        std::size_t const text_after = match.text + match.size, word_after = match.word + match.size;
        if (region.text_begin < match.text && region.word_begin < match.word)
            open.push_back({region.text_begin, match.text, region.word_begin, match.word});
        if (text_after < region.text_end && word_after < region.word_end)
            open.push_back({text_after, region.text_end, word_after, region.word_end});
    }
    return ratio_of(matches, text.size() + word_.size());
}

Likeness::Match Likeness::longest(std::u32string_view text, Region const& region) const {
    Match best{region.text_begin, region.word_begin, 0};
    // Of the match that ends at a place of the word, and in the text at i - 1.
    std::unordered_map<std::size_t, std::size_t> lengths;
    for (std::size_t i = region.text_begin; i < region.text_end; ++i) {
        std::unordered_map<std::size_t, std::size_t> ending;
        auto const found = places_.find(text[i]);
        if (found != places_.end()) {
            for (std::size_t const j : found->second) {
                if (j < region.word_begin) continue;
                if (j >= region.word_end) break;
                auto const before = j > 0 ? lengths.find(j - 1) : lengths.end();
                std::size_t const size = ending[j] = (before == lengths.end() ? 0 : before->second) + 1;
                if (size > best.size) best = {i + 1 - size, j + 1 - size, size};
            }
        }
        lengths = std::move(ending);
    }
    // What was not looked for still makes a match longer.
    while (best.text > region.text_begin && best.word > region.word_begin &&
           text[best.text - 1] == word_[best.word - 1])
        best = {best.text - 1, best.word - 1, best.size + 1};
    while (best.text + best.size < region.text_end && best.word + best.size < region.word_end &&
           text[best.text + best.size] == word_[best.word + best.size])
        ++best.size;
    return best;
}

std::vector<std::u32string> close_matches(std::u32string const& word, std::vector<std::u32string> const& names,
                                          std::size_t most, double cutoff) {
    Likeness const likeness(word);
    std::vector<std::pair<double, std::u32string>> near;
    for (std::u32string const& name : names) {
        if (likeness.at_most(name) < cutoff) continue;
        double const ratio = likeness.ratio(name);
        if (ratio >= cutoff) near.emplace_back(ratio, name);
    }
    std::sort(near.rbegin(), near.rend());
    if (near.size() > most) near.resize(most);
    std::vector<std::u32string> result;
    for (auto& entry : near) result.push_back(std::move(entry.second));
    return result;
}

}  // namespace fdcn::impl
