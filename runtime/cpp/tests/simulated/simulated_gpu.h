// What a test sets, and sees, of the simulated GPU.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <string>

#include "cuda_runtime_api.h"

namespace simulated {

// Give work to a stream; it is done when somebody waits for it. False where the stream cannot take it.
bool give(cudaStream_t stream, std::function<void()> work);
bool capturing(cudaStream_t stream);
// Whether an address and so much behind it is the GPU's memory.
bool inside(void const* memory, std::size_t size);
// What a real GPU would crash on, or do in silence; a test expects none.
void violation(std::string const& what);
std::string violations();

// Bytes of the GPU's memory; all calls fail that would take more.
void set_memory(std::size_t bytes);
// Whether recordings fail from now on.
void refuse_capture(bool refuse);
// What the driver says of itself, as 13000, and what cuInit gives.
extern "C" void simulated_driver(int version, int status);
// How many contexts the thread has put in place.
extern "C" int simulated_contexts();

// What was made and not given back, by its kind.
std::map<std::string, std::size_t> left();
// How often a graph was launched.
int launches();

}  // namespace simulated
