// fdcn's noise, version 1: Philox4x32-10 normals that are the same on every machine. See runtime/noise.py.
#pragma once

#include "contract.h"

#ifndef __CUDACC_RTC__
#include <math.h>
#endif

namespace fdcn {

struct Words {
    unsigned w[4];
};

// Ten rounds of Philox4x32 (Salmon et al., SC 2011) under the key (low, high).
FDCN_BOTH inline Words philox4x32(Words counter, unsigned low, unsigned high) {
    unsigned c0 = counter.w[0], c1 = counter.w[1], c2 = counter.w[2], c3 = counter.w[3];
    for (int round = 0; round < 10; ++round) {
        unsigned long long const p0 = 0xD2511F53ull * c0, p1 = 0xCD9E8D57ull * c2;
        c0 = static_cast<unsigned>(p1 >> 32) ^ c1 ^ low;
        c1 = static_cast<unsigned>(p1);
        c2 = static_cast<unsigned>(p0 >> 32) ^ c3 ^ high;
        c3 = static_cast<unsigned>(p0);
        low += 0x9E3779B9u;
        high += 0xBB67AE85u;
    }
    return {{c0, c1, c2, c3}};
}

// A word as a number in (0, 1] or in [0, 1). Both are exact: the factor is 2^-32.
FDCN_BOTH inline double above_zero(unsigned word) { return (word + 1.0) * 2.3283064365386963e-10; }
FDCN_BOTH inline double below_one(unsigned word) { return word * 2.3283064365386963e-10; }

// Two normals of two words: Box and Muller in float64, rounded once. No product here is added to anything, so nothing
// can be fused.
FDCN_BOTH inline void box_muller(unsigned first, unsigned second, float* z) {
    double const u = above_zero(first), v = below_one(second);
    double const radius = sqrt(-2.0 * log(u)), angle = 6.283185307179586 * v;
    z[0] = static_cast<float>(radius * cos(angle));
    z[1] = static_cast<float>(radius * sin(angle));
}

// Elements 4·quad to 4·quad + 3 of an image's draw in a step, in C order.
FDCN_BOTH inline void normals(unsigned long long seed, unsigned quad, unsigned step, unsigned draw, float* z) {
    unsigned const low = static_cast<unsigned>(seed), high = static_cast<unsigned>(seed >> 32);
    Words const words = philox4x32({{quad, step, draw, 0u}}, low, high);
    box_muller(words.w[0], words.w[1], z);
    box_muller(words.w[2], words.w[3], z + 2);
}

}  // namespace fdcn
