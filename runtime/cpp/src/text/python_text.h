// Values as Python writes them: a sentence is the same from either side.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fdcn::impl {

// repr of a str. Bytes that are no UTF-8 are shown as U+FFFD.
std::string repr(std::string_view text);
// str of a float, as 0.04, 1e-07, 4.0, nan or -inf: the shortest digits that read back as the same number.
std::string str(double number);
// A list of integers, as [1, 2].
std::string list(std::vector<std::int64_t> const& numbers);
// Texts behind one another with `between` them.
std::string joined(std::vector<std::string> const& texts, std::string_view between);
// (width, height) as WIDTHxHEIGHT.
std::string format_size(std::array<std::int64_t, 2> const& size);
// A number of bytes for people, in GB from a tenth of one on.
std::string format_bytes(double bytes);
// Whether a name may stand in a line as it is: str.isprintable.
bool is_printable(std::string_view text);
// str of a pathlib.Path: no doubled slashes, no ".", none at the end; "." for nothing.
std::string path_text(std::string_view path);
// Path(folder) / name as text; `name` alone where it starts at the root.
std::string path_text(std::string_view folder, std::string_view name);

}  // namespace fdcn::impl
