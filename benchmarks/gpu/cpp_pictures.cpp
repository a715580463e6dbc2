// Samples through libfdcn what its input asks for: the C++ half of stage gpu-cpp.
//     cpp_pictures BUNDLE
// A line of input is "WHERE RUNS PAUSE FILE NOISE REQUEST". WHERE is "host", or "device": then noise and results lie on
// the GPU and the work follows a stream of this program's. RUNS runs are made, a PAUSE of seconds after each; the last
// one's results go to FILE.latents and FILE.pixels. NOISE is "-", or N,C,H,W for noise that FILE.noise has. REQUEST is
// JSON. The answer is a line with the seconds of each run, or "refused: " and why.
#include <cuda_runtime_api.h>
#include <fdcn/fdcn.hpp>

#include <chrono>
#include <fstream>
#include <iostream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

void check(cudaError_t status) {
    if (status != cudaSuccess) throw std::runtime_error(cudaGetErrorString(status));
}

std::vector<char> read(std::string const& path) {
    std::ifstream from(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(from), {}};
}

// Results lie on the host or on the GPU: cudaMemcpy tells by the address.
void write(std::string const& path, void const* from, std::size_t size) {
    std::vector<char> held(size);
    check(cudaMemcpy(held.data(), from, size, cudaMemcpyDefault));
    std::ofstream(path, std::ios::binary).write(held.data(), static_cast<std::streamsize>(size));
}

struct Line {
    std::string where, file, noise, request;
    int runs;
    double pause;
};

Line parse(std::string const& text) {
    std::istringstream from(text);
    Line line;
    from >> line.where >> line.runs >> line.pause >> line.file >> line.noise;
    std::getline(from, line.request);
    return line;
}

// A caller's stream, and noise that a copy on that stream brings to the GPU.
class Caller {
public:
    Caller() { check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
    ~Caller() {
        cudaStreamDestroy(stream_);
        cudaFree(noise_);
    }
    Caller(Caller const&) = delete;
    Caller& operator=(Caller const&) = delete;

    cudaStream_t stream() const { return stream_; }
    float const* upload(std::vector<char> const& noise) {
        check(cudaMalloc(&noise_, noise.size()));
        check(cudaMemcpyAsync(noise_, noise.data(), noise.size(), cudaMemcpyHostToDevice, stream_));
        return static_cast<float const*>(noise_);
    }

private:
    cudaStream_t stream_ = nullptr;
    void* noise_ = nullptr;
};

void answer(fdcn::Pipeline const& pipe, Line const& line) {
    fdcn::Request request = fdcn::Request::from_json(line.request);
    std::vector<char> const noise = line.noise == "-" ? std::vector<char>() : read(line.file + ".noise");
    Caller caller;
    bool const device = line.where == "device";
    if (line.noise != "-") {
        std::array<std::int64_t, 4> shape{};
        char comma = ',';
        std::istringstream numbers(line.noise);
        for (std::int64_t& side : shape) numbers >> side >> comma;
        float const* const data = device ? caller.upload(noise) : reinterpret_cast<float const*>(noise.data());
        request.noise = fdcn::Noise::borrowed(data, shape, device);
    }
    if (device) {
        request.on_device = true;
        request.stream = caller.stream();
    }
    std::ostringstream seconds;
    for (int run = 0; run < line.runs; ++run) {
        auto const start = Clock::now();
        fdcn::Images const images = pipe.run(request);
        seconds << (run > 0 ? " " : "") << std::chrono::duration<double>(Clock::now() - start).count();
        if (run + 1 == line.runs) {
            auto const shape = images.latent_shape();
            auto const floats = static_cast<std::size_t>(shape[0] * shape[1] * shape[2] * shape[3]);
            auto const bytes = images.count() * images.width() * images.height() * images.channels();
            write(line.file + ".latents", images.latents(), sizeof(float) * floats);
            write(line.file + ".pixels", images.pixels(), static_cast<std::size_t>(bytes));
        }
        if (line.pause > 0) std::this_thread::sleep_for(std::chrono::duration<double>(line.pause));
    }
    std::cout << seconds.str() << std::endl;
}

}  // namespace

int main(int count, char** words) {
    try {
        fdcn::Options options;
        options.device = 0;
        auto const pipe = fdcn::Pipeline::load(count > 1 ? words[1] : "fdcn-model", options);
        std::cout << pipe.backend() << std::endl;
        for (std::string line; std::getline(std::cin, line);) {
            try {
                answer(pipe, parse(line));
            } catch (fdcn::Error const& error) {
                std::cout << "refused: " << error.what() << std::endl;
            }
        }
        return 0;
    } catch (std::exception const& error) {
        std::cout << "failed: " << error.what() << std::endl;
        return 1;
    }
}
