// FlowDCN pictures from a bundle, in C++17:
//
//     auto pipe = fdcn::Pipeline::load("fdcn-model");
//     fdcn::Request request;
//     request.labels = {7, "Bag"};
//     pipe.run(request).save("out.png");
//
// Arguments, defaults, pictures and the sentences of errors are those of fdcn for Python: docs/sampling.md.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#define FDCN_API __attribute__((visibility("default")))
#define FDCN_HIDDEN __attribute__((visibility("hidden")))

namespace fdcn {

// Something the caller can mend: the message says what was found, what was wanted and what to do. Whatever else is
// thrown is a defect in fdcn, or std::bad_alloc.
class FDCN_API Error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
    ~Error() override;
};

// What was given up because its caller asked for it, by Future::cancel() or by throwing this from a progress.
class FDCN_API Cancelled : public Error {
public:
    Cancelled();
    ~Cancelled() override;
};

// A class, by its number or by its name, letter case aside.
using Label = std::variant<std::int64_t, std::string>;

// An initial latent, float32 [images, channels, height, width] in C order.
struct FDCN_API Noise {
    std::shared_ptr<float const> data;
    std::array<std::int64_t, 4> shape{};
    bool on_device = false;  // of the pipeline's GPU (TensorRT alone)

    static Noise copied(float const* data, std::array<std::int64_t, 4> const& shape);
    // The caller keeps it until the pictures are made.
    static Noise borrowed(float const* data, std::array<std::int64_t, 4> const& shape, bool on_device = false);
};

// What to sample. Everything left alone has the bundle's default; docs/sampling.md says what each means.
struct FDCN_API Request {
    std::vector<Label> labels;  // none: every class where there are at most ten, else class 0
    std::int64_t count = 1;     // of each label, in order
    std::optional<std::int64_t> width, height;  // in pixels, any; the training size by default
    std::uint64_t seed = 0;                     // image i has seed + i, modulo 2^64,
    std::vector<std::uint64_t> seeds;           // or its own of these
    std::string solver;
    std::optional<std::int64_t> steps;
    std::optional<double> last_step;
    std::optional<double> guidance;
    std::string guidance_channels = "all";  // or "3"
    std::array<double, 2> guidance_interval{0.0, 1.0};
    std::optional<bool> s_max_adjust;
    std::optional<Noise> noise;      // sets the size and the number of images
    std::int64_t preview_every = 0;  // keep the predicted picture every so many evaluations; 0 for never
    // Told how many evaluations are done, of how many; what it throws ends the run. In submit it is called by the one
    // thread that does all that is submitted, so it must not wait there for a future of the same pipeline. With
    // TensorRT it must not wait for another thread's run on that pipeline either: of a size one runs at a time.
    std::function<void(std::int64_t done, std::int64_t total)> progress;
    bool on_device = false;       // pixels and latents stay on the GPU (TensorRT alone)
    std::optional<void*> stream;  // a cudaStream_t to work on (TensorRT alone)

    // From a JSON object with these names; the size as "size": [512, 256] or "512x256", and "noise": "given" where
    // `noise` is set afterwards. Throws Error for any other name, type or text.
    static Request from_json(std::string_view json);
};

// The result of a run; copies share it.
class FDCN_API Images {
public:
    std::int64_t count() const;
    std::int64_t width() const;
    std::int64_t height() const;
    std::int64_t channels() const;         // 1 or 3
    std::uint8_t const* pixels() const;    // [count, height, width, channels]
    float const* latents() const;          // as the network gave them, at the rounded-up size
    std::array<std::int64_t, 4> latent_shape() const;
    bool on_device() const;                // whether those two lie on the GPU
    std::int64_t previews() const;         // how many
    std::uint8_t const* preview(std::int64_t index) const;  // like pixels, always on the host
    std::vector<std::string> const& names() const;          // what each image shows
    std::vector<std::uint64_t> const& seeds() const;
    std::string const& parameters() const;  // what made these pictures, as JSON that Request::from_json takes

    // One picture as a PNG file's bytes. The file says what made it, as parameters() would of this picture alone.
    std::vector<std::uint8_t> png(std::int64_t image) const;
    // Write one picture, or several as a sheet, as PNG: whole or not at all. Throws Error where the file cannot be
    // written.
    void save(std::string const& path) const;

    struct FDCN_HIDDEN Data;
    FDCN_HIDDEN explicit Images(std::shared_ptr<Data const> data);
    // A move copies: what it came from still has its pictures.
    Images(Images const&) = default;
    Images& operator=(Images const&) = default;

private:
    std::shared_ptr<Data const> data_;
};

// Pictures that are still being made; copies share them.
class FDCN_API Future {
public:
    Images get() const;                                       // waits; throws what went wrong
    bool wait_for(std::chrono::milliseconds duration) const;  // whether it has ended
    bool cancel() const;                                      // whether that came in time: get() then throws Cancelled

    struct FDCN_HIDDEN State;
    FDCN_HIDDEN explicit Future(std::shared_ptr<State> state);
    // A move copies: what it came from still waits for the same.
    Future(Future const&) = default;
    Future& operator=(Future const&) = default;

private:
    std::shared_ptr<State> state_;
};

struct FDCN_API Options {
    std::string backend = "auto";  // or "onnxruntime", "tensorrt"
    std::optional<int> device;     // the GPU's number, the first by default
    // (width, height, images) that are to be fast from the first time on.
    std::vector<std::array<std::int64_t, 3>> warmup;
};

// A loaded bundle that makes pictures. Several threads may use one; its destructor closes it. It belongs to the process
// that loaded it: in a fork it makes no pictures, and to close or end it there does nothing.
class FDCN_API Pipeline {
public:
    // Throws Error where the bundle or the backend cannot be used.
    static Pipeline load(std::string const& bundle = "fdcn-model", Options const& options = {});

    // Sample, here and now. Throws Error for an impossible request, one that needs more memory than is free, a result
    // that is not finite, and where the pipeline was closed.
    Images run(Request const& request) const;
    // Sample in another thread. What waits is sampled together where size, solver, steps, guidance and S_max rule are
    // the same. Throws Error for an impossible request at once; what goes wrong later is the future's.
    Future submit(Request const& request) const;
    // Do ahead what the first run of these (width, height, images) would wait for.
    void warm_up(std::vector<std::array<std::int64_t, 3>> const& shapes) const;
    // What a user should know about a request that is granted.
    std::vector<std::string> notes(Request const& request) const;
    // Finish what is running and give back memory; what waits and later calls get Error. Once is enough.
    void close();

    std::string const& backend() const;  // for people: which library runs which artifact
    std::int64_t classes() const;
    std::vector<std::string> const& class_names() const;     // none where the bundle has none
    std::array<std::int64_t, 2> train_size() const;          // (width, height)

    struct FDCN_HIDDEN Impl;
    FDCN_HIDDEN explicit Pipeline(std::shared_ptr<Impl> impl);
    Pipeline(Pipeline&&) noexcept;
    Pipeline& operator=(Pipeline&&) noexcept;
    ~Pipeline();

private:
    std::shared_ptr<Impl> impl_;
};

// Of this library, as 0.1.0.
FDCN_API char const* version();

}  // namespace fdcn
