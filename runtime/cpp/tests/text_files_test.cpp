// Files and their hashes.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <system_error>

#include "text/file.h"
#include "text/sha256.h"

namespace fdcn::impl {
namespace {

std::string written(std::string const& content) {
    std::string const path = testing::TempDir() + "fdcn_text_files_test";
    std::ofstream(path, std::ios::binary) << content;
    return path;
}

// FIPS 180-2's examples.
TEST(Sha256, OfKnownTexts) {
    EXPECT_EQ(sha256_of_file(written("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    EXPECT_EQ(sha256_of_file(written("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(sha256_of_file(written(std::string(1'000'000, 'a'))),
              "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    EXPECT_EQ(sha256_of_file(written(std::string(3 << 20, '\0'))),
              "bbd05cf6097ac9b1f89ea29d2542c1b7b67ee46848393895f5a9e43fa1f621e5");
}

TEST(ReadFile, GivesAllOfIt) {
    std::string content;
    for (int i = 0; i < 300'000; ++i) content += static_cast<char>(i * 7);
    EXPECT_EQ(read_file(written(content)), content);
    EXPECT_EQ(read_file(written("")), "");
}

int error_of(std::string const& path) {
    try {
        read_file(path);
    } catch (std::system_error const& error) {
        return error.code().value();
    }
    return 0;
}

TEST(ReadFile, SaysWhyItCannot) {
    EXPECT_EQ(error_of("/nowhere/at/all"), ENOENT);
    EXPECT_EQ(error_of(written("") + "/inside"), ENOTDIR);
    EXPECT_EQ(error_of("/"), EISDIR);
    EXPECT_EQ(error_of("/" + std::string(300, 'x')), ENAMETOOLONG);
}

}  // namespace
}  // namespace fdcn::impl
