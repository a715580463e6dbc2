// runtime/native's headers as a C++ program takes them, with nothing of CUDA: see test_noise.py.
#include "advance.h"

extern "C" void native_philox(unsigned const* counter, unsigned const* key, unsigned* words) {
    fdcn::Words const made = fdcn::philox4x32({{counter[0], counter[1], counter[2], counter[3]}}, key[0], key[1]);
    for (int i = 0; i < 4; ++i) words[i] = made.w[i];
}

extern "C" void native_normals(unsigned long long seed, unsigned step, unsigned draw, unsigned quads, float* z) {
    for (unsigned quad = 0; quad < quads; ++quad) fdcn::normals(seed, quad, step, draw, z + 4 * quad);
}
