// A bundle's files, checked once each, by several threads.
#include "bundle/bundle.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "fdcn/fdcn.hpp"

namespace fdcn::impl {
namespace {

namespace fs = std::filesystem;

class BundleFiles : public testing::Test {
protected:
    void SetUp() override {
        folder_ = fs::path(testing::TempDir()) / "fdcn_bundle_files_test";
        fs::remove_all(folder_);
        fs::copy(FDCN_TEST_BUNDLE, folder_, fs::copy_options::recursive);
    }
    void TearDown() override { fs::remove_all(folder_); }

    static std::string refusal(std::function<void()> const& call) {
        try {
            call();
        } catch (Error const& error) {
            return error.what();
        }
        return "";
    }

    fs::path folder_;
};

TEST_F(BundleFiles, AreGivenByTheirPaths) {
    Bundle const bundle(folder_.string() + "//.");
    EXPECT_EQ(bundle.path(), folder_.string());
    Graph const& denoiser = bundle.manifest().graphs.at("denoiser");
    EXPECT_EQ(bundle.graph(denoiser), (folder_ / denoiser.file).string());
}

TEST_F(BundleFiles, AreCheckedOnce) {
    Bundle const bundle(folder_.string());
    std::string const name = bundle.manifest().graphs.at("denoiser").file;
    std::string const path = bundle.file(name);
    fs::remove(path);
    EXPECT_EQ(bundle.file(name), path);
    EXPECT_EQ(refusal([&] { Bundle(folder_.string()).file(name); }),
              path + " is missing; run fdcn export again, or copy the bundle again");
}

TEST_F(BundleFiles, ThatWereChangedAreNotGiven) {
    std::string const name = Bundle(folder_.string()).manifest().graphs.at("denoiser").file;
    fs::path const path = folder_ / name;
    auto const size = fs::file_size(path);
    std::fstream(path, std::ios::in | std::ios::out | std::ios::binary).seekp(10).put('X');
    EXPECT_NE(refusal([&] { Bundle(folder_.string()).file(name); }).find(" was changed: sha256 "), std::string::npos);
    fs::resize_file(path, size - 1);
    EXPECT_EQ(refusal([&] { Bundle(folder_.string()).file(name); }).find(path.string() + " has "), 0u);
}

TEST_F(BundleFiles, ManyThreadsMayAsk) {
    Bundle const bundle(folder_.string());
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i)
        threads.emplace_back([&] {
            for (auto const& file : bundle.manifest().files) bundle.file(file.first);
        });
    for (std::thread& thread : threads) thread.join();
}

TEST_F(BundleFiles, OfNoBundle) {
    fs::remove(folder_ / "manifest.json");
    std::string const path = folder_.string();
    EXPECT_EQ(refusal([&] { Bundle bundle(path); }), "bundle " + path +
                                                         " is not a bundle (it has no manifest.json); make one: fdcn "
                                                         "export CHECKPOINT -o " +
                                                         path);
    EXPECT_EQ(refusal([&] { Bundle bundle(path + "/no"); }),
              "bundle " + path + "/no does not exist; make one: fdcn export CHECKPOINT -o " + path + "/no");
    fs::create_directory(folder_ / "manifest.json");
    EXPECT_EQ(refusal([&] { Bundle bundle(path); }), "cannot read " + path + "/manifest.json: Is a directory");
}

}  // namespace
}  // namespace fdcn::impl
