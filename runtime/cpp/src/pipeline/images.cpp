#include "pipeline/images.h"

#include <utility>

#include "messages.h"
#include "pipeline/file.h"
#include "pipeline/png.h"
#include "pipeline/sheet.h"
#include "tables.h"
#include "text/python_text.h"

namespace fdcn {
namespace {

constexpr std::string_view kEnding = ".png";

std::vector<std::pair<std::string, std::string>> texts(std::string parameters) {
    return {{"Software", std::string("fdcn ") + version()}, {"fdcn", std::move(parameters)}};
}

bool ends_in_png(std::string_view path) {
    if (path.size() < kEnding.size()) return false;
    for (std::size_t i = 0; i < kEnding.size(); ++i) {
        char const c = path[path.size() - kEnding.size() + i];
        if (c != kEnding[i] && (c < 'A' || c > 'Z' || c - 'A' + 'a' != kEnding[i])) return false;
    }
    return true;
}

}  // namespace

Images::Data::Data(impl::Resolved asked, std::vector<std::string> shown, std::array<std::int64_t, 3> const& latent,
                   impl::Sampled made, bool there)
    : request(std::move(asked)),
      names(std::move(shown)),
      latent_shape{count(), latent[0], latent[1], latent[2]},
      sampled(std::move(made)),
      on_device(there),
      parameters(impl::parameters(request, names)) {
    if (request.noise) request.noise->data.reset();
}

std::uint8_t const* Images::Data::picture(std::int64_t image) const {
    if (on_device) throw Error(impl::messages::picture::on_gpu());
    if (image < 0 || image >= count()) throw Error(impl::messages::picture::no_such(image, count()));
    return sampled.pixels.get() + image * request.size[0] * request.size[1] * sampled.channels;
}

Images::Images(std::shared_ptr<Data const> data) : data_(std::move(data)) {}

std::int64_t Images::count() const {
    return data_->count();
}

std::int64_t Images::width() const {
    return data_->request.size[0];
}

std::int64_t Images::height() const {
    return data_->request.size[1];
}

std::int64_t Images::channels() const {
    return data_->sampled.channels;
}

std::uint8_t const* Images::pixels() const {
    return data_->sampled.pixels.get();
}

float const* Images::latents() const {
    return data_->sampled.latents.get();
}

std::array<std::int64_t, 4> Images::latent_shape() const {
    return data_->latent_shape;
}

bool Images::on_device() const {
    return data_->on_device;
}

std::int64_t Images::previews() const {
    return static_cast<std::int64_t>(data_->sampled.previews.size());
}

std::uint8_t const* Images::preview(std::int64_t index) const {
    if (index < 0 || index >= previews()) throw Error(impl::messages::picture::no_such(index, previews()));
    return data_->sampled.previews[static_cast<std::size_t>(index)].data();
}

std::vector<std::string> const& Images::names() const {
    return data_->names;
}

std::vector<std::uint64_t> const& Images::seeds() const {
    return data_->request.seeds;
}

std::string const& Images::parameters() const {
    return data_->parameters;
}

std::vector<std::uint8_t> Images::png(std::int64_t image) const {
    impl::Picture const picture{data_->picture(image), width(), height(), channels()};
    return impl::png(picture, texts(impl::parameters_of_one(data_->request, data_->names, image)));
}

void Images::save(std::string const& path) const {
    if (!ends_in_png(path)) throw Error(impl::messages::picture::only_png(impl::path_text(path)));
    if (count() == 1) return impl::replace_file(path, png(0));
    auto const sheet = impl::sheet(data_->picture(0), count(), width(), height(), channels());
    impl::replace_file(path, impl::png({sheet.pixels.data(), sheet.width, sheet.height, channels()},
                                       texts(parameters())));
}

char const* version() {
    return impl::tables::kFdcnVersion;
}

}  // namespace fdcn
