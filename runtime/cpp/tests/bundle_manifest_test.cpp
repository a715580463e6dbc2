// The tests' own manifest, and what becomes of it where it is damaged.
#include "bundle/manifest.h"

#include <gtest/gtest.h>

#include "fdcn/fdcn.hpp"
#include "text/file.h"

namespace fdcn::impl {
namespace {

std::string const& whole() {
    static std::string const text = read_file(FDCN_TEST_BUNDLE "/manifest.json");
    return text;
}

// What is said of a text, or "" where it is read.
std::string refusal(std::string const& text) {
    try {
        parse_manifest(text, "model/");
    } catch (Error const& error) {
        return error.what();
    }
    return "";
}

std::string with(std::string const& old, std::string const& changed) {
    std::string text = whole();
    std::size_t const place = text.find(old);
    EXPECT_NE(place, text.npos) << old;
    return text.replace(place, old.size(), changed);
}

TEST(Manifest, IsRead) {
    Manifest const manifest = parse_manifest(whole(), "model");
    EXPECT_EQ(manifest.model.classes, 3);
    EXPECT_EQ(manifest.train_size, (Size{8, 8}));
    ASSERT_TRUE(manifest.class_names);
    EXPECT_EQ(manifest.class_names->at(2), "Étoile");
    EXPECT_EQ(manifest.fixed_size, std::nullopt);
    EXPECT_EQ(manifest.graphs.count("denoiser"), 1u);
    for (std::string const& path : manifest.paths()) EXPECT_EQ(manifest.files.count(path), 1u) << path;
}

TEST(Manifest, SaysWhatIsWrong) {
    std::string const before = "model/manifest.json is damaged (", after = "); run fdcn export again";
    EXPECT_EQ(refusal(""), before + "it is not JSON text" + after);
    EXPECT_EQ(refusal("[]"), "model has bundle format None, this fdcn reads 1; run fdcn export again, or update fdcn");
    EXPECT_EQ(refusal(with("\"parameters\"", "\"parametres\"")),
              before + "manifest.model: parameters is missing" + after);
    EXPECT_EQ(refusal(with("\"Ring\"", "5")), before + "manifest.class_names[1] is int, not str" + after);
    EXPECT_EQ(refusal(with("\"Ring\",", "")), before + "manifest.class_names has 2 entries, not 3" + after);
    EXPECT_EQ(refusal(with("\"class_names\"", "\"a\\nb\": 1, \"class_names\"")),
              before + "manifest: 'a\\nb' is unknown" + after);
    EXPECT_EQ(refusal(with("\"pixel_factor\": 1", "\"pixel_factor\": 0")),
              before + "manifest.pixel_factor is 0, not 1 to 999999999" + after);
}

TEST(Manifest, CutAnywhereIsRefused) {
    std::size_t const end = whole().rfind('}');
    for (std::size_t size = 0; size <= end; ++size) EXPECT_NE(refusal(whole().substr(0, size)), "") << size;
}

TEST(Manifest, AnyBitChangedIsReadOrRefusedInOneLine) {
    for (std::size_t i = 0; i < whole().size(); ++i) {
        std::string text = whole();
        text[i] = static_cast<char>(text[i] ^ 1 << i % 8);
        EXPECT_EQ(refusal(text).find('\n'), std::string::npos) << i;
    }
}

TEST(Engine, ItsKeyEndsInItsPrecision) {
    Engine engine{};
    for (auto const& [key, precision] : {std::pair("onnxruntime-1.31.1-native", "float32"),
                                         std::pair("onnxruntime-1.31.1-native-int8", "int8"),
                                         std::pair("tensorrt-10.6-sm_86-float16", "float16"),
                                         std::pair("float16", "float16"),
                                         std::pair("", "float32")}) {
        engine.key = key;
        EXPECT_EQ(engine.precision(), precision);
    }
}

}  // namespace
}  // namespace fdcn::impl
