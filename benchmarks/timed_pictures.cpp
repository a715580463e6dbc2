// Samples what each line asks for, and says how many seconds that took and how many bytes are resident: the same as
// TIMED in bench_cpp.py. The first line of its answers is how long the bundle took to load.
//     timed_pictures BUNDLE < requests
#include <chrono>
#include <exception>
#include <fstream>
#include <iostream>
#include <string>

#include <unistd.h>

#include <fdcn/fdcn.hpp>

namespace {

double since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

long resident_bytes() {
    long pages = 0;
    std::ifstream("/proc/self/statm") >> pages >> pages;
    return pages * sysconf(_SC_PAGESIZE);
}

void answer(std::chrono::steady_clock::time_point start) {
    double const seconds = since(start);
    std::cout << seconds << ' ' << resident_bytes() << std::endl;
}

}  // namespace

int main(int, char** arguments) {
    try {
        auto const loading = std::chrono::steady_clock::now();
        auto const pipeline = fdcn::Pipeline::load(arguments[1]);
        answer(loading);
        for (std::string line; std::getline(std::cin, line);) {
            auto const start = std::chrono::steady_clock::now();
            pipeline.run(fdcn::Request::from_json(line));
            answer(start);
        }
        return 0;
    } catch (std::exception const& error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
}
