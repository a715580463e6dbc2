// Values as Python writes them; each expectation is what Python's own repr or str says.
#include "text/python_text.h"

#include <gtest/gtest.h>

#include <clocale>
#include <cmath>
#include <limits>

#include "text/unicode_text.h"

namespace fdcn::impl {
namespace {

TEST(Repr, QuotesAndEscapes) {
    EXPECT_EQ(repr(""), "''");
    EXPECT_EQ(repr("Sneaker"), "'Sneaker'");
    EXPECT_EQ(repr("it's"), "\"it's\"");
    EXPECT_EQ(repr("'\""), "'\\'\"'");
    EXPECT_EQ(repr("a\\b\n\r\t\x01\x7f"), "'a\\\\b\\n\\r\\t\\x01\\x7f'");
    EXPECT_EQ(repr("é\u200b\U000e0001"), "'é\\u200b\\U000e0001'");
}

TEST(Repr, BytesThatAreNoTextAreReplaced) {
    EXPECT_EQ(repr("\xff"), "'\ufffd'");
    EXPECT_EQ(repr("\xc3"), "'\ufffd'");
    EXPECT_EQ(repr("\xe2\x82"), "'\ufffd\ufffd'");
    EXPECT_EQ(repr("\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80"), repr(utf8(std::u32string(9, 0xfffd))));
}

TEST(Str, Numbers) {
    struct {
        double number;
        char const* text;
    } const cases[] = {{0.0, "0.0"},
                       {-0.0, "-0.0"},
                       {0.04, "0.04"},
                       {25.0, "25.0"},
                       {1e-4, "0.0001"},
                       {1e-5, "1e-05"},
                       {1e15, "1000000000000000.0"},
                       {1e16, "1e+16"},
                       {1.5e300, "1.5e+300"},
                       {2.0 / 3.0, "0.6666666666666666"},
                       {5e-324, "5e-324"},
                       {std::numeric_limits<double>::max(), "1.7976931348623157e+308"},
                       {std::nan(""), "nan"},
                       {HUGE_VAL, "inf"},
                       {-HUGE_VAL, "-inf"}};
    for (auto const& [number, text] : cases) EXPECT_EQ(str(number), text);
}

TEST(Lists, AreBracketed) {
    EXPECT_EQ(list({}), "[]");
    EXPECT_EQ(list({1, -2, 3}), "[1, -2, 3]");
    EXPECT_EQ(joined({"a", "b"}, " or "), "a or b");
    EXPECT_EQ(format_size({512, 256}), "512x256");
}

TEST(Bytes, AreInGigabytesFromATenthOfOneOn) {
    EXPECT_EQ(format_bytes(99.9e6), "99.9 MB");
    EXPECT_EQ(format_bytes(1e8), "0.1 GB");
    EXPECT_EQ(format_bytes(std::numeric_limits<double>::max()).size(), 300 + 5u);
}

TEST(Bytes, HaveAPointInEveryLanguage) {
    char const* locale = nullptr;
    for (char const* name : {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "fr_FR"})
        if (!locale) locale = std::setlocale(LC_NUMERIC, name);
    if (!locale) GTEST_SKIP() << "this machine has no language with a comma";
    std::string const text = format_bytes(2.5e9);
    std::setlocale(LC_NUMERIC, "C");
    EXPECT_EQ(text, "2.5 GB");
}

TEST(Paths, AreThoseOfPathlib) {
    EXPECT_EQ(path_text("a//b/./c/"), "a/b/c");
    EXPECT_EQ(path_text(""), ".");
    EXPECT_EQ(path_text("//a"), "//a");
    EXPECT_EQ(path_text("///a/.."), "/a/..");
    EXPECT_EQ(path_text("/", "manifest.json"), "/manifest.json");
    EXPECT_EQ(path_text("model", "/etc/passwd"), "/etc/passwd");
}

TEST(Unicode, FoldsStripsAndCounts) {
    EXPECT_EQ(utf8(casefold(U"STRASSE ẞß Éİ")), "strasse ssss éi\u0307");
    EXPECT_EQ(stripped(U"\u3000 \t a b\u0085"), U"a b");
    EXPECT_EQ(stripped(U" "), U"");
    EXPECT_EQ(digit(U'٧'), 7);
    EXPECT_EQ(digit(U'²'), std::nullopt);
    EXPECT_EQ(digit(U'/'), std::nullopt);
}

}  // namespace
}  // namespace fdcn::impl
