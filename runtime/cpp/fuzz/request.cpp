// Whatever somebody sends as a request: it is completed or refused.
#include <cstddef>
#include <cstdint>

#include "bundle/bundle.h"
#include "request/resolve.h"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    using namespace fdcn;
    static impl::Bundle const bundle(FDCN_TEST_BUNDLE);
    try {
        Request const request = Request::from_json(std::string_view(reinterpret_cast<char const*>(data), size));
        impl::Resolved const wanted = impl::resolve(bundle.manifest(), request);
        // A plan of thousands of steps is long, and no other.
        if (wanted.steps <= 50) impl::plan_for(bundle.manifest(), wanted, {});
    } catch (Error const&) {
    }
    return 0;
}
