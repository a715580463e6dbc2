#include "request/nearest_names.h"

#include <algorithm>
#include <map>

#include "request/nearest.h"
#include "tables.h"
#include "text/python_text.h"
#include "text/unicode_text.h"

namespace fdcn::impl {

std::string nearest_names(std::string const& word, std::vector<std::string> const& names) {
    std::map<std::u32string, std::string> originals;
    std::vector<std::u32string> folded;  // each once, in order
    for (std::string const& name : names) {
        std::u32string text = casefold(code_points(name));
        if (!originals.count(text)) folded.push_back(text);
        originals[std::move(text)] = name;
    }
    std::u32string const wanted = casefold(code_points(word));
    std::vector<std::u32string> near = close_matches(wanted, folded, tables::kNearest, tables::kCutoff);
    for (std::u32string const& name : folded) {
        if (near.size() >= tables::kNearest) break;
        bool const known = std::find(near.begin(), near.end(), name) != near.end();
        if (!known && name.find(wanted) != name.npos) near.push_back(name);
    }
    std::vector<std::string> shown;
    for (std::u32string const& name : near) shown.push_back(repr(originals.at(name)));
    return joined(shown, ", ");
}

}  // namespace fdcn::impl
