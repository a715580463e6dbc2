// The names most like a word, as Python's difflib finds them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace fdcn::impl {

// How alike texts are to one word, from 0 to 1: difflib.SequenceMatcher with the word as its second text.
class Likeness {
public:
    explicit Likeness(std::u32string word);

    double ratio(std::u32string_view text) const;
    // No smaller than the ratio, from the lengths alone.
    double at_most(std::u32string_view text) const;

private:
    // Of the text and the word: where a common part begins, and its length.
    struct Match {
        std::size_t text, word, size;
    };
    struct Region {
        std::size_t text_begin, text_end, word_begin, word_end;
    };

    Match longest(std::u32string_view text, Region const& region) const;

    std::u32string word_;
    std::unordered_map<char32_t, std::vector<std::size_t>> places_;  // in the word, of each of its characters
};

// Those of distinct names that are most like a word, the likest first: difflib.get_close_matches.
std::vector<std::u32string> close_matches(std::u32string const& word, std::vector<std::u32string> const& names,
                                          std::size_t most, double cutoff);

}  // namespace fdcn::impl
