// Requests are completed, or refused in a sentence.
#include "request/resolve.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "bundle/bundle.h"

namespace fdcn::impl {
namespace {

Manifest const& manifest() {
    static Bundle const bundle(FDCN_TEST_BUNDLE);
    return bundle.manifest();
}

std::string refusal(Request const& request) {
    try {
        resolve(manifest(), request);
    } catch (Error const& error) {
        return error.what();
    }
    return "";
}

Request labelled(std::vector<Label> labels) {
    Request request;
    request.labels = std::move(labels);
    return request;
}

TEST(Resolve, CompletesARequest) {
    Resolved const wanted = resolve(manifest(), {});
    EXPECT_EQ(wanted.labels, (std::vector<std::int64_t>{0, 1, 2}));
    EXPECT_EQ(wanted.seeds, (std::vector<std::uint64_t>{0, 1, 2}));
    EXPECT_EQ(wanted.size, (Size{8, 8}));
    EXPECT_EQ(wanted.steps, manifest().sampling.steps);
}

TEST(Resolve, ASideThatIsLeftAloneHasItsDefault) {
    Request request = labelled({0});
    request.width = 13;
    EXPECT_EQ(resolve(manifest(), request).size, (Size{13, 8}));
    request.noise = Noise::copied(std::vector<float>(16 * 8).data(), {1, 1, 16, 8});
    request.width = 7;
    EXPECT_EQ(resolve(manifest(), request).size, (Size{7, 16}));
}

TEST(Resolve, SeedsWrapAround) {
    Request request = labelled({0, 0});
    request.seed = std::numeric_limits<std::uint64_t>::max();
    EXPECT_EQ(resolve(manifest(), request).seeds, (std::vector<std::uint64_t>{request.seed, 0}));
}

TEST(Resolve, FindsClassesByName) {
    EXPECT_EQ(resolve(manifest(), labelled({"ÉTOILE", "disc", " 1 ", "2", 0})).labels,
              (std::vector<std::int64_t>{2, 0, 1, 2, 0}));
    EXPECT_EQ(refusal(labelled({"Rign"})), "no class is called 'Rign'; the nearest are 'Ring'");
    EXPECT_EQ(refusal(labelled({"xyz"})),
              "no class is called 'xyz'; give a number from 0 to 2, or a name that `fdcn inspect` lists");
    EXPECT_EQ(refusal(labelled({3})), "class 3 does not exist; the model has 3 classes, 0 to 2");
    EXPECT_EQ(refusal(labelled({"\xff\xfe"})).find("no class is called '\ufffd\ufffd'; "), 0u);
    EXPECT_EQ(refusal(labelled({INT64_MIN})).find("class -9223372036854775808 does not exist; "), 0u);
}

TEST(Resolve, RefusesNumbersOfAnySize) {
    Request request = labelled({0, 1});
    request.count = std::numeric_limits<std::int64_t>::max();
    EXPECT_EQ(refusal(request), "18446744073709551614 pictures in one run are too many; ask for 100000 at most");
    request.count = std::numeric_limits<std::int64_t>::min();
    EXPECT_EQ(refusal(request), "count must be at least 1, not -9223372036854775808");
    for (std::int64_t const side : {INT64_MIN, std::int64_t{0}, std::int64_t{1'000'000'000}, INT64_MAX}) {
        request = labelled({0});
        request.width = side;
        EXPECT_EQ(refusal(request).find("a picture of " + std::to_string(side) + "x8 "), 0u);
        request.noise = Noise::copied(std::vector<float>(64).data(), {1, 1, 8, 8});
        EXPECT_EQ(refusal(request), "the noise is for 8x8, not " + std::to_string(side) + "x8; leave the size out");
    }
}

TEST(Resolve, RefusesNoiseThatIsNone) {
    constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
    float const number = 0.0f;
    Request request = labelled({0});
    for (std::array<std::int64_t, 4> const& shape :
         {std::array<std::int64_t, 4>{1, 2, 8, 8}, {1, 1, 0, 8}, {-1, 1, 8, 8}, {1, 1, -8, -8}, {kMost, 1, 8, kMost},
          {1, 1, kMost - 1, kMost - 1}, {1, 1, 8, 7}}) {
        request.noise = Noise::borrowed(&number, shape);
        EXPECT_EQ(refusal(request).find("the noise has shape ["), 0u);
        EXPECT_EQ(Noise::copied(nullptr, {0, 1, 8, 8}).shape[0], 0);
    }
    request.noise = Noise::borrowed(nullptr, {1, 1, 8, 8});
    EXPECT_EQ(refusal(request), "the noise has no numbers; give them, or draw them from the seeds");
    for (float const wrong : {NAN, INFINITY, -INFINITY}) {
        std::vector<float> values(64);
        values[63] = wrong;
        request.noise = Noise::copied(values.data(), {1, 1, 8, 8});
        EXPECT_EQ(refusal(request), "the noise must be finite real numbers, not float32 with NaN or infinity");
    }
    // Nobody looks at a GPU's memory from here.
    request.noise = Noise::borrowed(&number, {1, 1, 8, 8}, true);
    EXPECT_EQ(refusal(request), "");
    request.noise = Noise::borrowed(&number, {1LL << 40, 1, 2, 2}, true);
    EXPECT_EQ(refusal(request), "1099511627776 pictures in one run are too many; ask for 100000 at most");
}

TEST(Noise, IsCopiedOrBorrowed) {
    std::vector<float> values{1, 2, 3, 4};
    Noise const copied = Noise::copied(values.data(), {1, 1, 2, 2});
    Noise const borrowed = Noise::borrowed(values.data(), {1, 1, 2, 2});
    values[2] = 7;
    EXPECT_EQ(copied.data.get()[2], 3.0f);
    EXPECT_EQ(borrowed.data.get()[2], 7.0f);
}

TEST(Notes, SayWhereTheReachCannotBeLengthened) {
    Request request = labelled({0});
    request.width = 9;
    request.s_max_adjust = true;
    std::vector<std::string> const notes = notes_on(manifest(), resolve(manifest(), request));
    ASSERT_EQ(notes.size(), 1u);
    EXPECT_EQ(notes[0], "the S_max adjustment changes nothing: a model of 1 blocks has none that it touches");
    request.width = 8;
    EXPECT_TRUE(notes_on(manifest(), resolve(manifest(), request)).empty());
}

}  // namespace
}  // namespace fdcn::impl
