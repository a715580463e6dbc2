#include "text/unicode_text.h"

#include <algorithm>
#include <iterator>

#include "unicode.h"

namespace fdcn::impl {
namespace {

constexpr char32_t kReplacement = 0xfffd;

// One code point at the start of a text, and how many bytes it takes.
struct Decoded {
    char32_t c;
    std::size_t bytes;
};

Decoded decoded(std::string_view text) {
    auto const lead = static_cast<unsigned char>(text[0]);
    if (lead < 0x80) return {lead, 1};
    std::size_t const bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || text.size() < bytes) return {kReplacement, 1};
    char32_t c = lead & (0xff >> (bytes + 1));
    for (std::size_t i = 1; i < bytes; ++i) {
        auto const next = static_cast<unsigned char>(text[i]);
        if (next >> 6 != 2) return {kReplacement, 1};
        c = c << 6 | (next & 0x3f);
    }
    constexpr char32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
    bool const surrogate = c >= 0xd800 && c <= 0xdfff;
    if (c < kLeast[bytes] || c > 0x10ffff || surrogate) return {kReplacement, 1};
    return {c, bytes};
}

// The last of ascending entries that starts at c or before it; null where there is none.
template <class Entry, std::size_t count>
Entry const* last_from(Entry const (&entries)[count], char32_t c) {
    auto const after = std::upper_bound(std::begin(entries), std::end(entries), c,
                                        [](char32_t wanted, Entry const& entry) { return wanted < entry.first; });
    return after == std::begin(entries) ? nullptr : after - 1;
}

template <std::size_t count>
bool within(unicode::Range const (&ranges)[count], char32_t c) {
    unicode::Range const* const range = last_from(ranges, c);
    return range && c <= range->last;
}

void append_folded(std::u32string& text, char32_t c) {
    for (unicode::LongFold const& fold : unicode::kLongFolds) {
        if (fold.from != c) continue;
        for (char32_t const to : fold.to)
            if (to) text += to;
        return;
    }
    unicode::Fold const* const fold = last_from(unicode::kFolds, c);
    bool const folded = fold && c <= fold->last && (c - fold->first) % static_cast<char32_t>(fold->step) == 0;
    text += folded ? static_cast<char32_t>(static_cast<std::int32_t>(c) + fold->distance) : c;
}

}  // namespace

std::u32string code_points(std::string_view utf8) {
    std::u32string text;
    while (!utf8.empty()) {
        Decoded const next = decoded(utf8);
        text += next.c;
        utf8.remove_prefix(next.bytes);
    }
    return text;
}

std::string utf8(std::u32string_view text) {
    std::string result;
    for (char32_t const c : text) {
        int const more = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
        constexpr unsigned kLead[] = {0, 0xc0, 0xe0, 0xf0};
        result += static_cast<char>(kLead[more] | c >> 6 * more);
        for (int i = more - 1; i >= 0; --i) result += static_cast<char>(0x80 | (c >> 6 * i & 0x3f));
    }
    return result;
}

std::u32string casefold(std::u32string_view text) {
    std::u32string result;
    for (char32_t const c : text) append_folded(result, c);
    return result;
}

bool is_printable(char32_t c) { return !within(unicode::kNotPrintable, c); }

std::u32string_view stripped(std::u32string_view text) {
    while (!text.empty() && within(unicode::kSpaces, text.front())) text.remove_prefix(1);
    while (!text.empty() && within(unicode::kSpaces, text.back())) text.remove_suffix(1);
    return text;
}

std::optional<int> digit(char32_t c) {
    auto const after = std::upper_bound(std::begin(unicode::kZeros), std::end(unicode::kZeros), c);
    if (after == std::begin(unicode::kZeros)) return std::nullopt;
    char32_t const value = c - *(after - 1);
    return value < 10 ? std::optional<int>(static_cast<int>(value)) : std::nullopt;
}

}  // namespace fdcn::impl
