// Plans, bit by bit.
#include "parity.h"
#include "plan/evaluations.h"
#include "plan/plan.h"

namespace fdcn::impl::parity {
namespace {

std::optional<double> optional_number(Json const& given, std::string_view name) {
    Json const& value = member(given, name);
    return value.as<std::nullptr_t>() ? std::nullopt : std::optional<double>(number(value));
}

std::array<double, 2> pair(Json const& given, std::string_view name) {
    auto const& ends = *member(given, name).as<Json::Array>();
    return {number(ends.at(0)), number(ends.at(1))};
}

Json row(PlanRow const& row) {
    std::string passes;
    std::vector<float> weights;
    for (Pass const& pass : row.passes) {
        passes += pass.conditional ? 'c' : 'n';
        weights.insert(weights.end(), {pass.guided, pass.rest});
    }
    return Json::Object{{"t", bytes_of(&row.t, sizeof row.t)},
                        {"graph", row.graph},
                        {"passes", passes},
                        {"weights", bytes_of(weights)},
                        {"s_max", bytes_of(row.s_max)},
                        {"base", bytes_of(row.base)},
                        {"point", bytes_of(row.point)},
                        {"predicted", bytes_of(row.predicted.data(), sizeof row.predicted)}};
}

Json plan(Json const& given) {
    PlanSettings settings;
    settings.solver = text(given, "solver");
    settings.steps = whole(given, "steps");
    settings.blocks = whole(given, "blocks");
    settings.last_step = optional_number(given, "last_step");
    settings.guidance = {number(member(given, "scale")), truth(given, "three_channels"), pair(given, "interval")};
    settings.reach = number(member(given, "reach"));
    settings.stretch = pair(given, "stretch");
    for (Json const& group : *member(given, "step_groups").as<Json::Array>())
        settings.step_groups.push_back({number(member(group, "until")), text(group, "graph")});
    SamplerPlan const plan = sampler_plan(settings);
    Json::Array rows;
    for (PlanRow const& each : plan.rows) rows.push_back(row(each));
    std::optional<std::int64_t> const guided = plan.guided_channels;
    return Json::Object{
        {"rows", rows}, {"history", std::int64_t{plan.history}}, {"guided_channels", as_json(guided)}};
}
Command const kPlan("plan", plan);

// The table before it is rounded to float32.
Command const kEvaluations("evaluations", [](Json const& given) -> Json {
    std::vector<double> numbers;
    for (Evaluation const& e :
         evaluations(text(given, "solver"), whole(given, "steps"), optional_number(given, "last_step"))) {
        numbers.push_back(e.t);
        numbers.insert(numbers.end(), e.base.begin(), e.base.end());
        numbers.insert(numbers.end(), e.point.begin(), e.point.end());
    }
    return bytes_of(numbers);
});

}  // namespace
}  // namespace fdcn::impl::parity
