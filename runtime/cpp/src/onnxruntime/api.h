// ONNX Runtime's C++ API, which the library is linked with and its users never see.
#pragma once

#include <string>

// The operator's library asks for its own functions when it is registered: so does this one, of the same API.
#define ORT_API_MANUAL_INIT
#include <onnxruntime_cxx_api.h>

namespace fdcn::impl {

// Makes the API callable and gives the process's environment of it. Sessions are to log what is fatal alone: errors are
// thrown. Throws Error where the library that was loaded is older than the headers that this one was built with.
Ort::Env new_environment();

// Of the library that was loaded.
std::string onnxruntime_version();

// What ONNX Runtime says of an error, as it says it in Python: the first line.
std::string reason_of(Ort::Exception const& error);

}  // namespace fdcn::impl
