// Requests, read and completed.
#include <cmath>

#include "bundle/bundle.h"
#include "parity.h"
#include "request/resolve.h"

namespace fdcn::impl::parity {
namespace {

// Noise of a shape, all of one number.
Noise noise_like(Json const& given) {
    std::array<std::int64_t, 4> shape{};
    std::size_t count = 1;
    auto const& sides = *member(given, "shape").as<Json::Array>();
    for (std::size_t i = 0; i < 4; ++i) {
        shape[i] = *sides.at(i).as<std::int64_t>();
        count *= static_cast<std::size_t>(shape[i]);
    }
    std::vector<float> const values(count, static_cast<float>(number(member(given, "value"))));
    return Noise::copied(values.data(), shape);
}

Json as_json(Resolved const& r) {
    Json::Array seeds;
    for (std::uint64_t const seed : r.seeds) seeds.push_back(std::to_string(seed));
    return Json::Object{{"labels", as_array(r.labels)},
                        {"seeds", seeds},
                        {"size", as_array(r.size)},
                        {"latent", as_array(r.latent)},
                        {"solver", r.solver},
                        {"steps", r.steps},
                        {"last_step", parity::as_json(r.last_step)},
                        {"guidance", Json::Array{r.guidance.scale, r.guidance.three_channels,
                                                 r.guidance.interval[0], r.guidance.interval[1]}},
                        {"s_max_adjust", r.s_max_adjust},
                        {"noise", r.noise ? as_array(r.noise->shape) : Json()}};
}

// A request as JSON text; `numbers` has those of its floats that JSON cannot hold, and `noise` a shape and a number.
Json resolve_request(Json const& given) {
    Manifest const manifest = parse_manifest(text(given, "manifest"), "bundle");
    Request request = Request::from_json(text(given, "request"));
    if (Json const* value = given.find("guidance")) request.guidance = number(*value);
    if (Json const* value = given.find("last_step")) request.last_step = number(*value);
    if (Json const* value = given.find("interval"))
        for (std::size_t i = 0; i < 2; ++i) request.guidance_interval[i] = number(value->as<Json::Array>()->at(i));
    if (Json const* value = given.find("noise")) request.noise = noise_like(*value);
    Resolved const wanted = resolve(manifest, request);
    plan_for(manifest, wanted, {});
    auto const names = as_array(label_names(manifest, wanted.labels));
    return Json::Object{
        {"resolved", as_json(wanted)}, {"names", names}, {"notes", as_array(notes_on(manifest, wanted))}};
}
Command const kResolve("resolve", resolve_request);

}  // namespace
}  // namespace fdcn::impl::parity
