// Whatever lies where a manifest should: it is read or refused, and what was read can be sampled from.
#include <cstddef>
#include <cstdint>

#include "bundle/manifest.h"
#include "request/resolve.h"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    using namespace fdcn;
    try {
        std::string_view const text(reinterpret_cast<char const*>(data), size);
        impl::Manifest const manifest = impl::parse_manifest(text, "bundle");
        for (impl::Engine const& engine : manifest.engines) engine.precision();
        impl::Resolved const wanted = impl::resolve(manifest, {});
        impl::notes_on(manifest, wanted);
        impl::label_names(manifest, wanted.labels);
    } catch (Error const&) {
    }
    return 0;
}
