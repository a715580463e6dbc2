// In the place of TensorRT, in a library that was built without it.
#include "messages.h"
#include "tensorrt/open.h"

namespace fdcn::impl {

std::unique_ptr<Network> open_tensorrt(std::shared_ptr<Bundle const>, Options const& options) {
    if (options.backend == "auto" && !options.device) return nullptr;
    throw Error(messages::backend::without_tensorrt());
}

}  // namespace fdcn::impl
