#include "pipeline/png.h"

#include <csetjmp>
#include <new>
#include <stdexcept>

#include <png.h>

namespace fdcn::impl {
namespace {

constexpr std::size_t kReasonBytes = 200;

// What libpng's callbacks write to. They are called from C, which no exception may cross.
struct Output {
    std::vector<std::uint8_t> bytes;
    char reason[kReasonBytes] = "";
    bool no_memory = false;
};

[[noreturn]] void fail(png_structp file, png_const_charp reason) {
    auto& output = *static_cast<Output*>(png_get_error_ptr(file));
    for (std::size_t i = 0; i + 1 < kReasonBytes && (output.reason[i] = reason[i]); ++i) continue;
    png_longjmp(file, 1);
}

void ignore(png_structp, png_const_charp) {}

void append(png_structp file, png_bytep bytes, size_t count) {
    auto& output = *static_cast<Output*>(png_get_io_ptr(file));
    try {
        output.bytes.insert(output.bytes.end(), bytes, bytes + count);
        return;
    } catch (std::exception const&) {
        output.no_memory = true;
    }
    png_error(file, "out of memory");
}

// Nothing here has a destructor: libpng leaves it by longjmp where it fails. Whether it did not.
bool written(png_structp file, png_infop info, Output& output, Picture const& picture, png_textp texts, int count) {
    if (setjmp(png_jmpbuf(file))) return false;
    png_set_user_limits(file, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_set_write_fn(file, &output, append, nullptr);
    png_set_IHDR(file, info, static_cast<png_uint_32>(picture.width), static_cast<png_uint_32>(picture.height), 8,
                 picture.channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_set_text(file, info, texts, count);
    png_write_info(file, info);
    std::int64_t const row = picture.width * picture.channels;
    for (std::int64_t y = 0; y < picture.height; ++y) png_write_row(file, picture.pixels + y * row);
    png_write_end(file, nullptr);
    return true;
}

}  // namespace

std::vector<std::uint8_t> png(Picture const& picture,
                              std::vector<std::pair<std::string, std::string>> const& texts) {
    std::vector<png_text> chunks(texts.size());
    for (std::size_t i = 0; i < texts.size(); ++i) {
        chunks[i].compression = PNG_TEXT_COMPRESSION_NONE;
        chunks[i].key = const_cast<char*>(texts[i].first.c_str());  // libpng copies it
        chunks[i].text = const_cast<char*>(texts[i].second.c_str());
        chunks[i].text_length = texts[i].second.size();
    }
    Output output;
    png_structp file = png_create_write_struct(PNG_LIBPNG_VER_STRING, &output, fail, ignore);
    if (!file) throw std::bad_alloc();
    png_infop info = png_create_info_struct(file);
    output.no_memory = !info;
    bool const done = info && written(file, info, output, picture, chunks.data(), static_cast<int>(chunks.size()));
    png_destroy_write_struct(&file, &info);
    if (output.no_memory) throw std::bad_alloc();
    if (!done) throw std::runtime_error(std::string("libpng: ") + output.reason);
    return std::move(output.bytes);
}

}  // namespace fdcn::impl
