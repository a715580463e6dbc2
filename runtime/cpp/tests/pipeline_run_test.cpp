// The whole library on the tests' bundle; its numbers are compared with Python's in tests/runtime/cpp.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include <sys/stat.h>
#include <unistd.h>

#include "pipeline_bundle.h"
#include "refused.h"

namespace fdcn {
namespace {

TEST(Run, GivesWhatWasAskedFor) {
    Pipeline const pipe = opened();
    Request request = request_of({std::int64_t{1}, "disc"}, 5);
    request.count = 2;
    request.width = 9;
    request.height = 6;
    Images const images = pipe.run(request);
    EXPECT_EQ(images.count(), 4);
    EXPECT_EQ(images.width(), 9);
    EXPECT_EQ(images.height(), 6);
    EXPECT_EQ(images.channels(), 1);
    EXPECT_EQ(images.latent_shape(), (std::array<std::int64_t, 4>{4, 1, 6, 10}));
    EXPECT_FALSE(images.on_device());
    EXPECT_EQ(images.previews(), 0);
    EXPECT_EQ(images.names(), (std::vector<std::string>{"Ring", "Ring", "Disc", "Disc"}));
    EXPECT_EQ(images.seeds(), (std::vector<std::uint64_t>{5, 6, 7, 8}));
    for (std::int64_t i = 0; i < elements(images); ++i) ASSERT_TRUE(std::isfinite(images.latents()[i]));
    EXPECT_GT(std::set<int>(images.pixels(), images.pixels() + 4 * 9 * 6).size(), 20u);
}

TEST(Run, KnowsTheBundle) {
    Pipeline const pipe = opened();
    EXPECT_EQ(pipe.classes(), 3);
    EXPECT_EQ(pipe.class_names(), (std::vector<std::string>{"Disc", "Ring", "Étoile"}));
    EXPECT_EQ(pipe.train_size(), (std::array<std::int64_t, 2>{8, 8}));
    EXPECT_EQ(pipe.backend().rfind("ONNX Runtime ", 0), 0u) << pipe.backend();
    EXPECT_EQ(pipe.run({}).count(), 3);  // every class
    EXPECT_TRUE(pipe.notes({}).empty());
    Request wide;
    wide.width = 16;
    EXPECT_EQ(refused([&] { pipe.notes(wide); }), "nothing was thrown");
}

TEST(Run, ThePicturesMakeThemselvesAgain) {
    Pipeline const pipe = opened();
    Request request = request_of({"étoile", "Ring"}, ~std::uint64_t{0});
    request.solver = "heun-sde";
    request.last_step = 0.04;
    request.guidance = 2.5;
    request.guidance_channels = "3";
    request.guidance_interval = {0.25, 1.0};
    Images const images = pipe.run(request);
    EXPECT_EQ(images.parameters(),
              "{\"labels\": [\"\\u00c9toile\", \"Ring\"], \"seeds\": [18446744073709551615, 0], \"size\": [8, 8], "
              "\"solver\": \"heun-sde\", \"steps\": 3, \"last_step\": 0.04, \"guidance\": 2.5, "
              "\"guidance_channels\": \"3\", \"guidance_interval\": [0.25, 1.0], \"s_max_adjust\": true, "
              "\"noise\": \"seeds\"}");
    expect_close(pipe.run(Request::from_json(images.parameters())), images, 0);
}

TEST(Run, PreviewsComeAlongTheWay) {
    Pipeline const pipe = opened();
    Request request = request_of({std::int64_t{0}});
    request.steps = 5;
    request.preview_every = 2;
    Images const images = pipe.run(request);
    ASSERT_EQ(images.previews(), 2);
    EXPECT_NE(std::vector<std::uint8_t>(images.preview(0), images.preview(0) + 64),
              std::vector<std::uint8_t>(images.preview(1), images.preview(1) + 64));
    EXPECT_EQ(refused([&] { images.preview(2); }), "there is no picture 2; there are 2, counted from 0");
    request.preview_every = -1;
    EXPECT_EQ(refused([&] { pipe.run(request); }), "preview_every counts evaluations from 1, 0 is never; not -1");
}

TEST(Run, ManyPicturesAreSampledInParts) {
    Pipeline const pipe = opened();
    constexpr std::int64_t kImages = 300, kRows = 2;
    Request request = request_of({"Ring"}, 40);
    request.steps = kRows;
    request.count = kImages;
    request.preview_every = 1;
    std::vector<std::int64_t> told;
    request.progress = [&](std::int64_t done, std::int64_t total) {
        EXPECT_GT(total, kRows) << "one part";
        told.push_back(done);
    };
    Images const images = pipe.run(request);
    ASSERT_EQ(images.count(), kImages);
    for (std::size_t i = 0; i < told.size(); ++i) EXPECT_EQ(told[i], static_cast<std::int64_t>(i + 1));
    Request one = request_of({"Ring"}, 40 + kImages - 1);
    one.steps = kRows;
    one.preview_every = 1;
    Images const last = pipe.run(one);
    ASSERT_EQ(images.previews(), last.previews());
    for (std::int64_t i = 0; i < 64; ++i) {
        std::int64_t const at = (kImages - 1) * 64 + i;
        ASSERT_TRUE(std::abs(images.latents()[at] - last.latents()[i]) <= kBatchMates);
        ASSERT_LE(std::abs(images.pixels()[at] - last.pixels()[i]), 1);
        ASSERT_LE(std::abs(images.preview(0)[at] - last.preview(0)[i]), 1);
    }
}

TEST(Run, NoiseIsCopiedOrBorrowed) {
    Pipeline const pipe = opened();
    std::vector<float> noise(300 * 64);
    for (std::size_t i = 0; i < noise.size(); ++i) noise[i] = std::sin(static_cast<float>(i));
    Request request = request_of({"Disc"});
    request.noise = Noise::borrowed(noise.data(), {300, 1, 8, 8});
    Images const all = pipe.run(request);
    ASSERT_EQ(all.count(), 300);
    request.noise = Noise::copied(noise.data() + 299 * 64, {1, 1, 8, 8});
    noise.assign(noise.size(), 0);
    Images const last = pipe.run(request);
    for (std::int64_t i = 0; i < 64; ++i)
        ASSERT_TRUE(std::abs(all.latents()[299 * 64 + i] - last.latents()[i]) <= kBatchMates);
    EXPECT_NE(last.parameters().find("\"noise\": \"given\""), std::string::npos);
    Request again = Request::from_json(all.parameters());
    EXPECT_EQ(refused([&] { pipe.run(again); }), "the noise has no numbers; give them, or draw them from the seeds");
    again.noise = Noise::borrowed(noise.data(), {300, 1, 8, 8});
    EXPECT_EQ(pipe.run(again).count(), 300);
}

TEST(Run, WhatProgressThrowsEndsTheRunAndLeavesThePipelineUsable) {
    Pipeline const pipe = opened();
    Request request = request_of({"Disc"});
    request.progress = [](std::int64_t done, std::int64_t) {
        if (done == 2) throw std::logic_error("enough");
    };
    EXPECT_THROW(pipe.run(request), std::logic_error);
    EXPECT_EQ(pipe.run(request_of({"Disc"})).count(), 1);
}

TEST(Run, ImpossibleThingsAreRefused) {
    EXPECT_EQ(refused([] { Pipeline::load("no/such/bundle"); }),
              "bundle no/such/bundle does not exist; make one: fdcn export CHECKPOINT -o no/such/bundle");
    Options options = on_cpu();
    options.backend = "abacus";
    EXPECT_NE(refused([&] { Pipeline::load(FDCN_TEST_BUNDLE, options); }).find("unknown backend"), std::string::npos);
    options = on_cpu();
    options.warmup = {{8, 8, 1}, {0, 8, 1}};
    EXPECT_EQ(refused([&] { Pipeline::load(FDCN_TEST_BUNDLE, options); }),
              "(0, 8, 1) is not (width, height, images), such as (256, 256, 8), to warm up");
    Pipeline const pipe = opened();
    EXPECT_NE(refused([&] { pipe.run(request_of({"Square"})); }).find("no class is called 'Square'"),
              std::string::npos);
    Request request = request_of({"Disc"});
    request.guidance = 1e300;
    EXPECT_EQ(refused([&] { pipe.run(request); }),
              "sampling left float32's range; lower the guidance or take more steps");
    EXPECT_EQ(pipe.run(request_of({"Disc"})).count(), 1);
    request = request_of({"Disc"});
    request.on_device = true;
    EXPECT_NE(refused([&] { pipe.run(request); }).find("works in the host's memory"), std::string::npos);
    request = request_of({"Disc"});
    request.stream = nullptr;
    EXPECT_NE(refused([&] { pipe.submit(request); }).find("works in the host's memory"), std::string::npos);
}

class Saving : public ::testing::Test {
protected:
    void SetUp() override { ASSERT_NE(mkdtemp(folder_.data()), nullptr); }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    std::string folder_ = ::testing::TempDir() + "fdcn-saving-XXXXXX";
};

TEST_F(Saving, WritesWholeFilesAndNothingElse) {
    Pipeline const pipe = opened();
    Images const one = pipe.run(request_of({"Disc"})), two = pipe.run(request_of({"Disc", "Ring"}));
    one.save(folder_ + "/one.png");
    one.save(folder_ + "/two.PNG");
    two.save(folder_ + "/two.PNG");
    std::ifstream file(folder_ + "/one.png", std::ios::binary);
    std::string const bytes((std::istreambuf_iterator<char>(file)), {});
    auto const png = one.png(0);
    EXPECT_EQ(bytes, std::string(png.begin(), png.end()));
    EXPECT_GT(std::filesystem::file_size(folder_ + "/two.PNG"), png.size());
    std::set<std::string> names;
    for (auto const& entry : std::filesystem::directory_iterator(folder_)) names.insert(entry.path().filename());
    EXPECT_EQ(names, (std::set<std::string>{"one.png", "two.PNG"}));
    EXPECT_EQ(two.png(1), pipe.run(request_of({"Ring"}, 1)).png(0)) << "a picture says what made it alone";
}

TEST_F(Saving, TakesEveryNameAndTheUmask) {
    Pipeline const pipe = opened();
    std::string const path = folder_ + "/" + std::string(251, 'x') + ".png";
    mode_t const before = ::umask(026);
    pipe.run(request_of({"Disc"})).save(path);
    ::umask(before);
    EXPECT_EQ(static_cast<unsigned>(std::filesystem::status(path).permissions()), 0640u);
}

TEST_F(Saving, LeavesWhatAKilledProcessLeft) {
    Pipeline const pipe = opened();
    Images const one = pipe.run(request_of({"Disc"}));
    std::string const ours = folder_ + "/.fdcn-" + std::to_string(::getpid()) + "-";
    for (int i = 0; i < 9; ++i) std::ofstream(ours + std::to_string(i)) << "left";
    one.save(folder_ + "/one.png");
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 10);
    for (int i = 0; i < 9; ++i) EXPECT_EQ(std::filesystem::file_size(ours + std::to_string(i)), 4u);
}

TEST_F(Saving, SaysWhatCannotBeWritten) {
    Pipeline const pipe = opened();
    Images const one = pipe.run(request_of({"Disc"}));
    EXPECT_EQ(refused([&] { one.save(folder_ + "/one.jpg"); }),
              folder_ + "/one.jpg does not end in .png, the one format that is written here");
    EXPECT_EQ(refused([&] { one.save(folder_ + "/no/one.png"); }),
              "cannot write " + folder_ + "/no/one.png: No such file or directory; name a folder that exists and is "
                                          "writable");
    std::filesystem::create_directory(folder_ + "/taken.png");
    EXPECT_EQ(refused([&] { one.save(folder_ + "/taken.png"); }),
              "cannot write " + folder_ + "/taken.png: Is a directory");
    EXPECT_EQ(refused([&] { one.png(1); }), "there is no picture 1; there are 1, counted from 0");
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1);
}

TEST(Closing, RefusesLaterCallsAndKeepsPictures) {
    Pipeline pipe = opened();
    Images const images = pipe.run(request_of({"Disc"}));
    pipe.close();
    pipe.close();
    std::string const closed = "the pipeline was closed; open it again with fdcn.load";
    EXPECT_EQ(refused([&] { pipe.run({}); }), closed);
    EXPECT_EQ(refused([&] { pipe.submit({}); }), closed);
    EXPECT_EQ(refused([&] { pipe.warm_up({{8, 8, 1}}); }), closed);
    EXPECT_EQ(pipe.class_names().size(), 3u);
    EXPECT_NE(pipe.backend(), "");
    EXPECT_FALSE(images.png(0).empty());
    pipe = opened();
    EXPECT_EQ(pipe.run({}).count(), 3);
    Pipeline moved(std::move(pipe));
    EXPECT_EQ(moved.run({}).count(), 3);
}

TEST(Moving, LeavesPicturesAndFuturesAsTheyWere) {
    Pipeline const pipe = opened();
    Future future = pipe.submit(request_of({"Disc"}));
    Future const moved(std::move(future));
    Images images = moved.get();
    Images const same(std::move(images));
    EXPECT_EQ(future.get().pixels(), same.pixels());  // NOLINT: what was moved from is looked at on purpose
    EXPECT_EQ(images.pixels(), same.pixels());
}

TEST(Closing, ARunMayEndItsOwnPipeline) {
    auto pipe = std::make_unique<Pipeline>(opened());
    Request request = request_of({"Disc"});
    request.progress = [&](std::int64_t done, std::int64_t) {
        if (done == 1) pipe.reset();
    };
    EXPECT_EQ(pipe->run(request).count(), 1);
    EXPECT_EQ(pipe, nullptr);
}

}  // namespace
}  // namespace fdcn
