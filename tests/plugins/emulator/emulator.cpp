// What a test sets before a launch.
#include "cuda_runtime.h"

extern "C" void emulator_forget() { emulator::readable.clear(); }

extern "C" void emulator_may_read(void const* from, size_t bytes) {
    uintptr_t const begin = reinterpret_cast<uintptr_t>(from);
    emulator::readable.push_back({begin, begin + bytes});
}

extern "C" void emulator_descend(bool descending) { emulator::descending = descending; }
