// The command line.
#pragma once

#include <cstdint>
#include <string>

struct Options {
    std::string bundle = "fdcn-model";
    std::string host = "127.0.0.1";
    int port = 8080;                // 0 for any that is free
    std::int64_t queue = 64;        // pictures that are being made or wait for it; more are refused
    std::int64_t largest = 1024;    // pixels of a picture's side
};

// Throws std::invalid_argument with what to tell the user.
Options parse(int argc, char const* const* argv);
