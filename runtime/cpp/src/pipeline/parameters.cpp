#include <limits>
#include <utility>

#include "pipeline/images.h"
#include "text/json.h"

namespace fdcn::impl {
namespace {

Json seed(std::uint64_t value) {
    if (value <= std::uint64_t{std::numeric_limits<std::int64_t>::max()}) return static_cast<std::int64_t>(value);
    return Json::Digits{std::to_string(value)};
}

// Member by member: a list of initial values would be copied.
class Members {
public:
    template <class T>
    Members& add(char const* name, T&& value) {
        object_.emplace_back(name, Json(std::forward<T>(value)));
        return *this;
    }
    std::string text() && { return dump_json(Json(std::move(object_))); }

private:
    Json::Object object_;
};

template <class Range>
Json::Array array(Range const& values) {
    Json::Array array;
    for (auto const& value : values) array.emplace_back(value);
    return array;
}

std::string described(Resolved const& request, Json::Array labels, Json::Array seeds) {
    Guidance const& guidance = request.guidance;
    Members members;
    members.add("labels", std::move(labels)).add("seeds", std::move(seeds));
    members.add("size", array(request.size)).add("solver", request.solver).add("steps", request.steps);
    members.add("last_step", request.last_step ? Json(*request.last_step) : Json());
    members.add("guidance", guidance.scale);
    members.add("guidance_channels", std::string(guidance.three_channels ? "3" : "all"));
    members.add("guidance_interval", array(guidance.interval));
    members.add("s_max_adjust", request.s_max_adjust);
    members.add("noise", std::string(request.noise ? "given" : "seeds"));
    return std::move(members).text();
}

}  // namespace

std::string parameters(Resolved const& request, std::vector<std::string> const& names) {
    Json::Array seeds;
    for (std::uint64_t const value : request.seeds) seeds.push_back(seed(value));
    return described(request, array(names), std::move(seeds));
}

std::string parameters_of_one(Resolved const& request, std::vector<std::string> const& names, std::int64_t image) {
    auto const i = static_cast<std::size_t>(image);
    Json::Array label, own;
    label.emplace_back(names[i]);
    own.push_back(seed(request.seeds[i]));
    return described(request, std::move(label), std::move(own));
}

}  // namespace fdcn::impl
