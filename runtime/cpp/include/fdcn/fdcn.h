/* FlowDCN pictures from a bundle, for C and whatever calls C:
 *
 *     fdcn_pipeline* pipeline = NULL;
 *     fdcn_request* request = NULL;
 *     fdcn_images* images = NULL;
 *     if (fdcn_pipeline_load("fdcn-model", NULL, &pipeline) != FDCN_OK ||
 *         fdcn_request_parse("{\"labels\": [7, \"Bag\"], \"seed\": 1}", &request) != FDCN_OK ||
 *         fdcn_pipeline_run(pipeline, request, &images) != FDCN_OK ||
 *         fdcn_images_save(images, "out.png") != FDCN_OK)
 *         fprintf(stderr, "%s\n", fdcn_last_error());
 *     fdcn_images_destroy(images);
 *     fdcn_request_destroy(request);
 *     fdcn_pipeline_destroy(pipeline);
 *
 * Names, defaults and sentences of errors are those of fdcn for Python: docs/sampling.md. Text is UTF-8 that ends in
 * NUL. A function that can fail returns a status; what it was to give is then NULL, and fdcn_last_error() says why.
 * Every handle is its caller's to destroy, in any order; to destroy NULL does nothing. Several threads may use one
 * pipeline and one future; requests and options are for one thread at a time, images only ever read. */
#ifndef FDCN_FDCN_H
#define FDCN_FDCN_H

#include <stddef.h>
#include <stdint.h>

#define FDCN_API __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

typedef enum fdcn_status {
    FDCN_OK = 0,
    FDCN_ERROR = 1,         /* something the caller can mend: fdcn_last_error() says how */
    FDCN_CANCELLED = 2,     /* as the progress function or fdcn_future_cancel() asked */
    FDCN_OUT_OF_MEMORY = 3, /* of the process */
    FDCN_DEFECT = 4         /* of fdcn */
} fdcn_status;

/* What went wrong in this thread's latest call that did not return FDCN_OK, 8191 bytes of it at most; "" before any.
 * Valid until the next one. */
FDCN_API char const* fdcn_last_error(void);
/* Of this library, as "0.1.0". */
FDCN_API char const* fdcn_version(void);

/* ---- Options of a pipeline ---- */

typedef struct fdcn_options fdcn_options;

FDCN_API fdcn_status fdcn_options_create(fdcn_options** options);
FDCN_API void fdcn_options_destroy(fdcn_options* options);
/* "auto", which it is by default, "onnxruntime" or "tensorrt". */
FDCN_API fdcn_status fdcn_options_set_backend(fdcn_options* options, char const* backend);
/* The GPU's number, the first by default. */
FDCN_API fdcn_status fdcn_options_set_device(fdcn_options* options, int device);
/* So many pictures of this size are to be fast from the first time on. */
FDCN_API fdcn_status fdcn_options_add_warmup(fdcn_options* options, int64_t width, int64_t height, int64_t images);

/* ---- Requests ---- */

typedef struct fdcn_request fdcn_request;

/* Told in the thread that samples how many evaluations are done, of how many. Whatever it returns but 0 ends the
 * run. After fdcn_pipeline_submit that is the one thread that does all that is submitted, so it must not wait there for
 * a future of the same pipeline; with TensorRT it must not wait for another thread's run on that pipeline either. */
typedef int (*fdcn_progress)(void* user, int64_t done, int64_t total);

/* What to sample, as a JSON object, "{}" for the bundle's defaults. Its names, all optional: labels, count, size, seed,
 * seeds, solver, steps, last_step, guidance, guidance_channels, guidance_interval, s_max_adjust, preview_every. The
 * size is [512, 256] or "512x256"; what is null has its default. */
FDCN_API fdcn_status fdcn_request_parse(char const* json, fdcn_request** request);
FDCN_API void fdcn_request_destroy(fdcn_request* request);
/* An initial latent, float32 [images, channels, height, width] of the host; it is copied. */
FDCN_API fdcn_status fdcn_request_set_noise(fdcn_request* request, float const* noise, int64_t const shape[4]);
/* The same without a copy: the caller keeps it until the pictures are made. `on_device`: it lies on the pipeline's GPU
 * (TensorRT alone). */
FDCN_API fdcn_status fdcn_request_borrow_noise(fdcn_request* request, float const* noise, int64_t const shape[4],
                                               int on_device);
/* Whether pixels and latents stay on the GPU (TensorRT alone). */
FDCN_API fdcn_status fdcn_request_set_on_device(fdcn_request* request, int on_device);
/* A cudaStream_t to work on (TensorRT alone). */
FDCN_API fdcn_status fdcn_request_set_stream(fdcn_request* request, void* stream);
/* NULL for nobody. */
FDCN_API fdcn_status fdcn_request_set_progress(fdcn_request* request, fdcn_progress progress, void* user);

/* ---- Pipelines ---- */

typedef struct fdcn_pipeline fdcn_pipeline;
typedef struct fdcn_images fdcn_images;
typedef struct fdcn_future fdcn_future;

/* Open a bundle, a folder, for sampling; `options` may be NULL. The pipeline belongs to this process: in a fork it
 * makes no pictures, and to close or destroy it there does nothing. */
FDCN_API fdcn_status fdcn_pipeline_load(char const* bundle, fdcn_options const* options, fdcn_pipeline** pipeline);
/* Closes it too. Images stay as they are, and futures as closing leaves them. */
FDCN_API void fdcn_pipeline_destroy(fdcn_pipeline* pipeline);
/* Sample, here and now. The request stays the caller's, to change, use again or destroy. */
FDCN_API fdcn_status fdcn_pipeline_run(fdcn_pipeline* pipeline, fdcn_request const* request, fdcn_images** images);
/* Sample in another thread, together with what else waits there and is like it. */
FDCN_API fdcn_status fdcn_pipeline_submit(fdcn_pipeline* pipeline, fdcn_request const* request, fdcn_future** future);
/* Do ahead what the first run of so many images of this size would wait for. */
FDCN_API fdcn_status fdcn_pipeline_warm_up(fdcn_pipeline* pipeline, int64_t width, int64_t height, int64_t images);
/* What a user should know about a request that is granted: a line each, with its NUL `size` bytes long. With `text`
 * NULL for the size alone; FDCN_ERROR where `capacity` is less. */
FDCN_API fdcn_status fdcn_pipeline_notes(fdcn_pipeline* pipeline, fdcn_request const* request, char* text,
                                         size_t capacity, size_t* size);
/* Finish what is running and give back memory; what waits and later calls get an error. Once is enough. */
FDCN_API fdcn_status fdcn_pipeline_close(fdcn_pipeline* pipeline);

/* For people: which library runs which artifact. Valid as long as the pipeline, as is class_name. */
FDCN_API char const* fdcn_pipeline_backend(fdcn_pipeline const* pipeline);
FDCN_API int64_t fdcn_pipeline_classes(fdcn_pipeline const* pipeline);
/* NULL where the bundle has no names, or no such class. */
FDCN_API char const* fdcn_pipeline_class_name(fdcn_pipeline const* pipeline, int64_t label);
/* In pixels. */
FDCN_API int64_t fdcn_pipeline_train_width(fdcn_pipeline const* pipeline);
FDCN_API int64_t fdcn_pipeline_train_height(fdcn_pipeline const* pipeline);

/* ---- Futures: pictures that are still being made ---- */

/* Wait for the pictures; each call gives a handle of its own. */
FDCN_API fdcn_status fdcn_future_get(fdcn_future const* future, fdcn_images** images);
/* Wait so many milliseconds at most: whether it has ended. */
FDCN_API int fdcn_future_wait(fdcn_future const* future, int64_t milliseconds);
/* Whether that came before its pictures were begun: fdcn_future_get() then returns FDCN_CANCELLED. */
FDCN_API int fdcn_future_cancel(fdcn_future* future);
/* The pictures are made all the same. */
FDCN_API void fdcn_future_destroy(fdcn_future* future);

/* ---- Images: what pointers point to is theirs ---- */

FDCN_API int64_t fdcn_images_count(fdcn_images const* images);
FDCN_API int64_t fdcn_images_width(fdcn_images const* images);
FDCN_API int64_t fdcn_images_height(fdcn_images const* images);
FDCN_API int64_t fdcn_images_channels(fdcn_images const* images); /* 1 or 3 */
/* [count, height, width, channels] */
FDCN_API uint8_t const* fdcn_images_pixels(fdcn_images const* images);
/* As the network gave them, at the rounded-up size. */
FDCN_API float const* fdcn_images_latents(fdcn_images const* images);
FDCN_API void fdcn_images_latent_shape(fdcn_images const* images, int64_t shape[4]);
/* Whether pixels and latents lie on the GPU. */
FDCN_API int fdcn_images_on_device(fdcn_images const* images);
/* How many predictions along the way were kept; each is like the pixels, always on the host. */
FDCN_API int64_t fdcn_images_previews(fdcn_images const* images);
FDCN_API uint8_t const* fdcn_images_preview(fdcn_images const* images, int64_t index);
/* What one picture shows. */
FDCN_API char const* fdcn_images_name(fdcn_images const* images, int64_t image);
FDCN_API uint64_t fdcn_images_seed(fdcn_images const* images, int64_t image);
/* What made these pictures, as JSON that fdcn_request_parse() takes. */
FDCN_API char const* fdcn_images_parameters(fdcn_images const* images);
/* One picture as a PNG file, `size` bytes long. With `png` NULL for the size alone; FDCN_ERROR where `capacity` is
 * less. */
FDCN_API fdcn_status fdcn_images_png(fdcn_images const* images, int64_t image, uint8_t* png, size_t capacity,
                                     size_t* size);
/* Write one picture, or several as a sheet, as PNG. */
FDCN_API fdcn_status fdcn_images_save(fdcn_images const* images, char const* path);
FDCN_API void fdcn_images_destroy(fdcn_images* images);

#ifdef __cplusplus
}
#endif

#endif /* FDCN_FDCN_H */
