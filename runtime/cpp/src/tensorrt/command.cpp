#include "tensorrt/command.h"

#include "tables.h"
#include "tensorrt/profiles.h"
#include "text/python_text.h"

namespace fdcn::impl {

std::string_view precision_option(std::string_view precision) {
    for (tables::Option const& known : tables::kOptions)
        if (known.precision == precision) return known.option;
    return "";
}

std::string build_command(std::string const& bundle, Target const& target, std::vector<Profile> const& more) {
    std::vector<std::string> words{"fdcn", "build", bundle};
    auto const profiles = [&words](std::vector<Profile> const& some) {
        for (Profile const& profile : some) words.insert(words.end(), {"--profile", text(profile)});
    };
    std::string_view const precision = precision_option(target.precision);
    if (!precision.empty()) words.emplace_back(precision);
    if (target.flavour == "tensorrt-rtx") words.insert(words.end(), {"--gpu", joined(target.compute, ",")});
    profiles(target.profiles);
    profiles(more);
    words.insert(words.end(), {"--plugin", target.plugin.kind});
    if (target.workspace) words.insert(words.end(), {"--workspace", std::to_string(*target.workspace >> 20)});
    if (target.refittable) words.emplace_back("--refit");
    return joined(words, " ");
}

}  // namespace fdcn::impl
