#include "messages.h"
#include "sampler/network.h"
#include "tensorrt/open.h"
#include "text/python_text.h"
#ifdef FDCN_WITH_ONNXRUNTIME
#include "onnxruntime/open.h"
#endif

namespace fdcn::impl {

std::unique_ptr<Network> open_network(std::shared_ptr<Bundle const> bundle, Options const& options) {
    std::string const& name = options.backend;
    if (name != "auto" && name != "onnxruntime" && name != "tensorrt")
        throw Error(messages::backend::unknown(repr(name), "auto, onnxruntime, tensorrt"));
    if (name == "onnxruntime") {
        if (options.device) throw Error(messages::backend::cpu_device(*options.device));
    } else if (auto network = open_tensorrt(bundle, options)) {
        return network;
    }
#ifdef FDCN_WITH_ONNXRUNTIME
    return open_onnxruntime(bundle);
#else
    throw Error(messages::backend::without_onnxruntime());
#endif
}

}  // namespace fdcn::impl
