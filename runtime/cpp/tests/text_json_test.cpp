// JSON that is read, and JSON that is refused, without the whole process being lost to it.
#include "text/json.h"

#include <gtest/gtest.h>

namespace fdcn::impl {
namespace {

std::string dumped(std::string_view text) {
    std::optional<Json> const value = parse_json(text);
    return value ? dump_json(*value) : "refused";
}

TEST(Json, IsWrittenAsPythonWritesIt) {
    EXPECT_EQ(dumped(R"( {"a":[1,-2.50,true,null,"é\u0007\ud83d\ude00\""]} )"),
              R"({"a": [1, -2.5, true, null, "\u00e9\u0007\ud83d\ude00\""]})");
    EXPECT_EQ(dumped("[]"), "[]");
    EXPECT_EQ(dumped("1e400"), "refused");
    EXPECT_EQ(repr_json(*parse_json(R"([null, true, 1.0, {"a": "b"}])")), "[None, True, 1.0, {'a': 'b'}]");
}

TEST(Json, IntegersBeyond64BitsKeepTheirDigits) {
    EXPECT_EQ(dumped("[9223372036854775807, 9223372036854775808, -9223372036854775809, 18446744073709551616]"),
              "[9223372036854775807, 9223372036854775808, -9223372036854775809, 18446744073709551616]");
    EXPECT_EQ(python_type(*parse_json("18446744073709551616")), "int");
    EXPECT_EQ(python_type(*parse_json("18446744073709551616.0")), "float");
}

TEST(Json, OfEqualNamesTheLastCountsWhereTheFirstStood) {
    EXPECT_EQ(dumped(R"({"a": {"x": 1}, "b": [2], "a": 3, "b": 4, "c": 5, "a": {}})"), R"({"a": {}, "b": 4, "c": 5})");
}

TEST(Json, IsNestedSoDeepAtMost) {
    auto const nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
    EXPECT_EQ(dumped(nested(200)), nested(200));
    EXPECT_EQ(dumped(nested(201)), "refused");
    EXPECT_EQ(dumped(std::string(5'000'000, '[')), "refused");
    EXPECT_EQ(dumped(std::string(200, '[') + "1"), "refused");
}

TEST(Json, RefusesWhatIsNone) {
    for (char const* text :
         {"", "{", "[1,]", "nul", "NaN", "Infinity", "01", "'a'", "[1] 2", "\xef\xbb\xbf{}", "// a\n1",
          R"("\ud800")", "\"\xff\"", "\"\n\"", R"("a\u0000b")", R"({"\u0000": 1})"})
        EXPECT_EQ(dumped(text), "refused") << text;
    EXPECT_EQ(dumped(std::string_view("{}\0", 3)), "refused");
}

TEST(Json, ManyNamesTwiceEachAreToldApart) {
    std::string text = "{";
    for (int i = 0; i < 200'000; ++i) text += "\"" + std::to_string(i % 100'000) + "\": 1, ";
    std::optional<Json> const value = parse_json(text + "\"last\": 2}");
    ASSERT_TRUE(value);
    EXPECT_EQ(value->as<Json::Object>()->size(), 100'001u);
}

}  // namespace
}  // namespace fdcn::impl
