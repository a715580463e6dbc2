// TensorRT's version: see NvInferRuntime.h.
#pragma once

#define NV_TENSORRT_MAJOR 10
