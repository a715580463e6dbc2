"""fdcn's noise, version 1: Philox4x32-10 normals that are the same on every machine and for every batch.

Integers, or float64 rounded once to float32. Philox: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3"
(SC 2011); normals: Box and Muller (1958).
"""

import numpy as np

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_ROUNDS = 10
_TAU = 6.283185307179586


def philox4x32(counter: np.ndarray, key: tuple[int, int]) -> np.ndarray:
    """Ten rounds of Philox4x32: counters uint32 [n, 4] and a key of two words to uint32 [n, 4]."""
    c0, c1, c2, c3 = counter.astype(np.uint64).T
    k0, k1 = key
    for _ in range(_ROUNDS):
        p0, p1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (p1 >> _HALF) ^ c1 ^ np.uint64(k0), p1 & _LOW, (p0 >> _HALF) ^ c3 ^ np.uint64(k1), p0 & _LOW
        k0, k1 = (k0 + _WEYL[0]) & 0xFFFFFFFF, (k1 + _WEYL[1]) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], 1).astype(np.uint32)


def words(seed: int, step: int, draw: int, elements: int) -> np.ndarray:
    """The uint32 [⌈elements / 4⌉, 4] behind one image's normals; four words make four normals."""
    counter = np.zeros((-(-elements // 4), 4), np.uint32)
    counter[:, 0] = np.arange(len(counter), dtype=np.uint32)
    counter[:, 1], counter[:, 2] = step, draw
    return philox4x32(counter, (seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF))


def uniforms(words: np.ndarray) -> np.ndarray:
    """Pairs of words as numbers, float64 [n, 2], the first in (0, 1] and the second in [0, 1)."""
    pairs = words.reshape(-1, 2).astype(np.float64)
    pairs[:, 0] += 1
    return pairs * 2.0**-32


def normals(seed: int, step: int, draw: int, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normals for one image, float32 of `shape` in C order.

    `seed` in [0, 2⁶⁴); `step` 0 is the initial latent and r + 1 the plan's row r; `draw` is 0 or 1.
    """
    elements = int(np.prod(shape))
    u, v = uniforms(words(seed, step, draw, elements)).T
    radius, angle = np.sqrt(-2.0 * np.log(u)), _TAU * v
    pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
    return pairs.reshape(-1)[:elements].astype(np.float32).reshape(shape)
