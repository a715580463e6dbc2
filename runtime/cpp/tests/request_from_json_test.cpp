// Requests as JSON.
#include <gtest/gtest.h>

#include "fdcn/fdcn.hpp"

namespace fdcn {
namespace {

std::string refusal(std::string_view json) {
    try {
        Request::from_json(json);
    } catch (Error const& error) {
        return error.what();
    }
    return "";
}

TEST(FromJson, ReadsEveryField) {
    Request const request = Request::from_json(R"({
        "labels": [7, "Bag", 123456789012345678901234567890], "count": 2, "size": [512, 256], "seed": -1,
        "seeds": [1, 18446744073709551615, 18446744073709551617, -18446744073709551617], "solver": "euler",
        "steps": 5, "last_step": 0.04, "guidance": 2, "guidance_channels": "3", "guidance_interval": [0, 0.5],
        "s_max_adjust": false, "noise": "seeds", "preview_every": 3})");
    EXPECT_EQ(request.labels, (std::vector<Label>{7, "Bag", "123456789012345678901234567890"}));
    EXPECT_EQ(request.count, 2);
    EXPECT_EQ(request.width, 512);
    EXPECT_EQ(request.height, 256);
    EXPECT_EQ(request.seed, UINT64_MAX);
    EXPECT_EQ(request.seeds, (std::vector<std::uint64_t>{1, UINT64_MAX, 1, UINT64_MAX}));
    EXPECT_EQ(request.solver, "euler");
    EXPECT_EQ(request.steps, 5);
    EXPECT_EQ(request.last_step, 0.04);
    EXPECT_EQ(request.guidance, 2.0);
    EXPECT_EQ(request.guidance_channels, "3");
    EXPECT_EQ(request.guidance_interval, (std::array<double, 2>{0.0, 0.5}));
    EXPECT_EQ(request.s_max_adjust, false);
    EXPECT_EQ(request.preview_every, 3);
    EXPECT_FALSE(request.noise);
}

TEST(FromJson, LeavesWhatIsLeftOutOrNullToItsDefault) {
    for (char const* json : {"{}", R"({"labels": null, "size": null, "steps": null, "seeds": null, "count": null})"}) {
        Request const request = Request::from_json(json);
        EXPECT_TRUE(request.labels.empty());
        EXPECT_EQ(request.count, 1);
        EXPECT_FALSE(request.width);
        EXPECT_FALSE(request.steps);
        EXPECT_EQ(request.guidance_channels, "all");
    }
}

TEST(FromJson, ReadsASizeAsText) {
    Request const request = Request::from_json(R"({"size": " 512 × 256\n"})");
    EXPECT_EQ(request.width, 512);
    EXPECT_EQ(request.height, 256);
}

TEST(FromJson, RemembersThatNoiseWasGiven) {
    Request const request = Request::from_json(R"({"noise": "given"})");
    ASSERT_TRUE(request.noise);
    EXPECT_FALSE(request.noise->data);
    EXPECT_EQ(refusal(R"({"noise": "none"})"),
              "noise is \"seeds\", or \"given\" where numbers come beside the request, not 'none'");
}

TEST(FromJson, SaysWhatIsWrong) {
    EXPECT_EQ(refusal("{"), "the request cannot be read (it is not JSON text)");
    EXPECT_EQ(refusal("[]"), "the request cannot be read (request is not an object)");
    EXPECT_EQ(refusal(R"({"stesp": 5})"), "a request has no 'stesp'; the nearest are 'steps', 'seeds', 'last_step'");
    EXPECT_EQ(refusal(R"({"steps": 1.5})"), "the request cannot be read (request.steps is float, not int)");
    EXPECT_EQ(refusal(R"({"labels": [{}]})"), "the request cannot be read (request.labels[0] is dict, not int)");
    EXPECT_EQ(refusal(R"({"size": "0x5"})"), "'0x5' has no pixels: both sides must be at least 1");
    EXPECT_EQ(refusal(R"({"size": [1, 2, 3]})"), "the request cannot be read (request.size has 3 entries, not 2)");
    EXPECT_EQ(refusal(R"({"labels": []})"), "no label was given: name at least one class");
}

TEST(FromJson, RefusesDeepAndLongTexts) {
    for (std::string const& text : {std::string(1 << 20, '['), "{\"labels\": " + std::string(1 << 20, '['),
                                    "{\"steps\": " + std::string(1 << 20, '9') + "}"})
        EXPECT_EQ(refusal(text), "the request cannot be read (it is not JSON text)");
}

}  // namespace
}  // namespace fdcn
