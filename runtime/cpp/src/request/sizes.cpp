#include "request/sizes.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "fdcn/fdcn.hpp"
#include "messages.h"
#include "text/python_text.h"

namespace fdcn::impl {
namespace {

constexpr std::size_t kMostDigits = 9;

// Takes what stands at the start of a text off it.
class Scanner {
public:
    explicit Scanner(std::string_view text) : rest_(text) {}

    void space() { rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t\n\r\f\v"), rest_.size())); }

    bool number(std::int64_t& into) {
        std::size_t const count = std::min(rest_.find_first_not_of("0123456789"), rest_.size());
        if (count < 1 || count > kMostDigits) return false;
        std::from_chars(rest_.data(), rest_.data() + count, into);
        rest_.remove_prefix(count);
        return true;
    }

    bool by() {
        for (std::string_view const sign : {"x", "X", "×"}) {
            if (rest_.substr(0, sign.size()) != sign) continue;
            rest_.remove_prefix(sign.size());
            return true;
        }
        return false;
    }

    bool at_end() const { return rest_.empty(); }

private:
    std::string_view rest_;
};

bool scan(std::string_view text, Size& into) {
    Scanner scanner(text);
    scanner.space();
    if (!scanner.number(into[0])) return false;
    scanner.space();
    if (!scanner.by()) return false;
    scanner.space();
    if (!scanner.number(into[1])) return false;
    scanner.space();
    return scanner.at_end();
}

std::int64_t patches(std::int64_t pixels, std::int64_t unit) { return pixels / unit + (pixels % unit > 0); }

}  // namespace

Size parse_size(std::string const& text) {
    Size size{};
    if (!scan(text, size)) throw Error(messages::size::not_a_size(repr(text)));
    if (size[0] < 1 || size[1] < 1) throw Error(messages::size::no_pixels(repr(text)));
    return size;
}

std::array<std::int64_t, 2> latent_size(Manifest const& manifest, Size const& size) {
    std::int64_t const patch = manifest.model.patch, unit = patch * manifest.pixel_factor;
    return {patches(size[1], unit) * patch, patches(size[0], unit) * patch};
}

}  // namespace fdcn::impl
