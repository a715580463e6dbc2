// The C interface: every function is one of C++, with handles, and statuses for exceptions.
#include "fdcn/fdcn.h"

#include <array>
#include <chrono>
#include <cstring>
#include <exception>
#include <new>
#include <string>
#include <utility>

#include "fdcn/fdcn.hpp"
#include "messages.h"

struct fdcn_options {
    fdcn::Options options;
};

struct fdcn_request {
    fdcn::Request request;
};

struct fdcn_pipeline {
    fdcn::Pipeline pipeline;
};

struct fdcn_future {
    fdcn::Future future;
};

struct fdcn_images {
    fdcn::Images images;
};

namespace fdcn::impl {
namespace {

constexpr char kOutOfMemory[] = "out of memory";
constexpr std::size_t kErrorBytes = 8192;

// No object: static ones may ask for it in their destructors, which come after those of a thread's.
thread_local char last_error[kErrorBytes];

// Whether a byte of UTF-8 is within a character.
bool continues(char byte) {
    return (byte & '\xc0') == '\x80';
}

fdcn_status failed(fdcn_status status, char const* what) noexcept {
    std::size_t length = std::strlen(what);
    if (length >= kErrorBytes)
        for (length = kErrorBytes - 1; length > 0 && continues(what[length]); --length) continue;
    std::memcpy(last_error, what, length);
    last_error[length] = '\0';
    return status;
}

// Whatever is thrown as a status: no exception crosses to C.
template <class Body>
fdcn_status guarded(Body&& body) noexcept {
    try {
        body();
        return FDCN_OK;
    } catch (Cancelled const& error) {
        return failed(FDCN_CANCELLED, error.what());
    } catch (Error const& error) {
        return failed(FDCN_ERROR, error.what());
    } catch (std::bad_alloc const&) {
        return failed(FDCN_OUT_OF_MEMORY, kOutOfMemory);
    } catch (std::exception const& error) {
        return failed(FDCN_DEFECT, error.what());
    } catch (...) {
        return failed(FDCN_DEFECT, "an exception of no known kind");
    }
}

template <class T>
T& given(T* pointer, char const* name) {
    if (!pointer) throw Error(messages::c_api::null(name));
    return *pointer;
}

// A new handle; what is given stays NULL where `make` throws.
template <class Handle, class Make>
fdcn_status create(Handle** handle, char const* name, Make&& make) noexcept {
    return guarded([&] {
        given(handle, name) = nullptr;
        *handle = new Handle{make()};
    });
}

// How many `bytes` are, and where they are wanted themselves. Throws Error where there is no room for them.
void copy_out(void const* bytes, std::size_t count, void* to, std::size_t capacity, std::size_t* size) {
    given(size, "size") = count;
    if (!to) return;
    if (capacity < count) throw Error(messages::c_api::capacity(count, capacity));
    std::memcpy(to, bytes, count);
}

std::array<std::int64_t, 4> shape_of(std::int64_t const* shape) {
    given(shape, "shape");
    return {shape[0], shape[1], shape[2], shape[3]};
}

std::string const* element(std::vector<std::string> const& texts, std::int64_t index) {
    bool const there = index >= 0 && index < static_cast<std::int64_t>(texts.size());
    return there ? &texts[static_cast<std::size_t>(index)] : nullptr;
}

char const* characters(std::string const* text) {
    return text ? text->c_str() : nullptr;
}

}  // namespace
}  // namespace fdcn::impl

using namespace fdcn::impl;

extern "C" {

char const* fdcn_last_error(void) {
    return last_error;
}

char const* fdcn_version(void) {
    return fdcn::version();
}

fdcn_status fdcn_options_create(fdcn_options** options) {
    return create(options, "options", [] { return fdcn::Options(); });
}

void fdcn_options_destroy(fdcn_options* options) {
    delete options;
}

fdcn_status fdcn_options_set_backend(fdcn_options* options, char const* backend) {
    return guarded([&] { given(options, "options").options.backend = &given(backend, "backend"); });
}

fdcn_status fdcn_options_set_device(fdcn_options* options, int device) {
    return guarded([&] { given(options, "options").options.device = device; });
}

fdcn_status fdcn_options_add_warmup(fdcn_options* options, int64_t width, int64_t height, int64_t images) {
    return guarded([&] { given(options, "options").options.warmup.push_back({width, height, images}); });
}

fdcn_status fdcn_request_parse(char const* json, fdcn_request** request) {
    return create(request, "request", [&] { return fdcn::Request::from_json(&given(json, "json")); });
}

void fdcn_request_destroy(fdcn_request* request) {
    delete request;
}

fdcn_status fdcn_request_set_noise(fdcn_request* request, float const* noise, int64_t const shape[4]) {
    return guarded([&] {
        given(request, "request").request.noise = fdcn::Noise::copied(&given(noise, "noise"), shape_of(shape));
    });
}

fdcn_status fdcn_request_borrow_noise(fdcn_request* request, float const* noise, int64_t const shape[4],
                                      int on_device) {
    return guarded([&] {
        given(request, "request").request.noise =
            fdcn::Noise::borrowed(&given(noise, "noise"), shape_of(shape), on_device != 0);
    });
}

fdcn_status fdcn_request_set_on_device(fdcn_request* request, int on_device) {
    return guarded([&] { given(request, "request").request.on_device = on_device != 0; });
}

fdcn_status fdcn_request_set_stream(fdcn_request* request, void* stream) {
    return guarded([&] { given(request, "request").request.stream = stream; });
}

fdcn_status fdcn_request_set_progress(fdcn_request* request, fdcn_progress progress, void* user) {
    return guarded([&] {
        auto& told = given(request, "request").request.progress;
        told = nullptr;
        if (progress)
            told = [progress, user](std::int64_t done, std::int64_t total) {
                if (progress(user, done, total) != 0) throw fdcn::Cancelled();
            };
    });
}

fdcn_status fdcn_pipeline_load(char const* bundle, fdcn_options const* options, fdcn_pipeline** pipeline) {
    return create(pipeline, "pipeline", [&] {
        return fdcn::Pipeline::load(&given(bundle, "bundle"), options ? options->options : fdcn::Options());
    });
}

void fdcn_pipeline_destroy(fdcn_pipeline* pipeline) {
    delete pipeline;
}

fdcn_status fdcn_pipeline_run(fdcn_pipeline* pipeline, fdcn_request const* request, fdcn_images** images) {
    return create(images, "images", [&] {
        return given(pipeline, "pipeline").pipeline.run(given(request, "request").request);
    });
}

fdcn_status fdcn_pipeline_submit(fdcn_pipeline* pipeline, fdcn_request const* request, fdcn_future** future) {
    return create(future, "future", [&] {
        return given(pipeline, "pipeline").pipeline.submit(given(request, "request").request);
    });
}

fdcn_status fdcn_pipeline_warm_up(fdcn_pipeline* pipeline, int64_t width, int64_t height, int64_t images) {
    return guarded([&] { given(pipeline, "pipeline").pipeline.warm_up({{width, height, images}}); });
}

fdcn_status fdcn_pipeline_notes(fdcn_pipeline* pipeline, fdcn_request const* request, char* text, size_t capacity,
                                size_t* size) {
    return guarded([&] {
        std::string lines;
        for (auto const& note : given(pipeline, "pipeline").pipeline.notes(given(request, "request").request))
            lines += note + "\n";
        copy_out(lines.c_str(), lines.size() + 1, text, capacity, size);
    });
}

fdcn_status fdcn_pipeline_close(fdcn_pipeline* pipeline) {
    return guarded([&] { given(pipeline, "pipeline").pipeline.close(); });
}

char const* fdcn_pipeline_backend(fdcn_pipeline const* pipeline) {
    return pipeline ? pipeline->pipeline.backend().c_str() : nullptr;
}

int64_t fdcn_pipeline_classes(fdcn_pipeline const* pipeline) {
    return pipeline ? pipeline->pipeline.classes() : 0;
}

char const* fdcn_pipeline_class_name(fdcn_pipeline const* pipeline, int64_t label) {
    return pipeline ? characters(element(pipeline->pipeline.class_names(), label)) : nullptr;
}

int64_t fdcn_pipeline_train_width(fdcn_pipeline const* pipeline) {
    return pipeline ? pipeline->pipeline.train_size()[0] : 0;
}

int64_t fdcn_pipeline_train_height(fdcn_pipeline const* pipeline) {
    return pipeline ? pipeline->pipeline.train_size()[1] : 0;
}

fdcn_status fdcn_future_get(fdcn_future const* future, fdcn_images** images) {
    return create(images, "images", [&] { return given(future, "future").future.get(); });
}

int fdcn_future_wait(fdcn_future const* future, int64_t milliseconds) {
    return future && future->future.wait_for(std::chrono::milliseconds(milliseconds));
}

int fdcn_future_cancel(fdcn_future* future) {
    return future && future->future.cancel();
}

void fdcn_future_destroy(fdcn_future* future) {
    delete future;
}

int64_t fdcn_images_count(fdcn_images const* images) {
    return images ? images->images.count() : 0;
}

int64_t fdcn_images_width(fdcn_images const* images) {
    return images ? images->images.width() : 0;
}

int64_t fdcn_images_height(fdcn_images const* images) {
    return images ? images->images.height() : 0;
}

int64_t fdcn_images_channels(fdcn_images const* images) {
    return images ? images->images.channels() : 0;
}

uint8_t const* fdcn_images_pixels(fdcn_images const* images) {
    return images ? images->images.pixels() : nullptr;
}

float const* fdcn_images_latents(fdcn_images const* images) {
    return images ? images->images.latents() : nullptr;
}

void fdcn_images_latent_shape(fdcn_images const* images, int64_t shape[4]) {
    if (!shape) return;
    auto const sides = images ? images->images.latent_shape() : std::array<std::int64_t, 4>{};
    for (std::size_t i = 0; i < sides.size(); ++i) shape[i] = sides[i];
}

int fdcn_images_on_device(fdcn_images const* images) {
    return images && images->images.on_device();
}

int64_t fdcn_images_previews(fdcn_images const* images) {
    return images ? images->images.previews() : 0;
}

uint8_t const* fdcn_images_preview(fdcn_images const* images, int64_t index) {
    bool const there = index >= 0 && index < fdcn_images_previews(images);
    return there ? images->images.preview(index) : nullptr;
}

char const* fdcn_images_name(fdcn_images const* images, int64_t image) {
    return images ? characters(element(images->images.names(), image)) : nullptr;
}

uint64_t fdcn_images_seed(fdcn_images const* images, int64_t image) {
    bool const there = image >= 0 && image < fdcn_images_count(images);
    return there ? images->images.seeds()[static_cast<std::size_t>(image)] : 0;
}

char const* fdcn_images_parameters(fdcn_images const* images) {
    return images ? images->images.parameters().c_str() : nullptr;
}

fdcn_status fdcn_images_png(fdcn_images const* images, int64_t image, uint8_t* png, size_t capacity, size_t* size) {
    return guarded([&] {
        auto const bytes = given(images, "images").images.png(image);
        copy_out(bytes.data(), bytes.size(), png, capacity, size);
    });
}

fdcn_status fdcn_images_save(fdcn_images const* images, char const* path) {
    return guarded([&] { given(images, "images").images.save(&given(path, "path")); });
}

void fdcn_images_destroy(fdcn_images* images) {
    delete images;
}

}  // extern "C"
