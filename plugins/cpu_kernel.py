"""MultiScaleDCN for training on a CPU: forward and backward loops that numba compiles, parallel over (image, group).

One (image, group) pair owns its slice of every gradient, so the scattered additions need no atomics.
"""

import functools
from collections.abc import Callable

import numba
import numpy as np

# The additions of a dot product may be reordered and contracted; NaN and infinity keep their meaning.
_FAST = {"reassoc", "contract", "nsz", "arcp"}


@functools.cache
def kernels(groups: int, channels: int, taps: int) -> tuple[Callable[..., None], Callable[..., None]]:
    """Compile (forward, backward) for one head layout, so that the channel loops have constant bounds.

    forward(projection, prior, s_max, out) and backward(grad_out, projection, prior, s_max, grad_projection) take
    contiguous float32 arrays with the shapes of `spec`; grad_projection must be zero on entry.
    """
    G, C, K = groups, channels, taps
    first_tap = G * C

    @numba.njit(fastmath=_FAST, inline="always")
    def reach(scale_logit):  # type: ignore[no-untyped-def]
        return np.float32(1) / (np.float32(1) + np.exp(-scale_logit))

    @numba.njit(parallel=True, fastmath=_FAST)
    def forward(projection, prior, s_max, out):  # type: ignore[no-untyped-def]
        N, H, W, _ = projection.shape
        for pair in numba.prange(N * G):
            n, g = pair // G, pair % G
            v0 = g * C
            acc = np.empty(C, np.float32)
            for row in range(H):
                for column in range(W):
                    for c in range(C):
                        acc[c] = 0
                    for k in range(K):
                        tap = first_tap + (g * K + k) * 4
                        r = reach(projection[n, row, column, tap + 2])
                        x = column + (projection[n, row, column, tap] + prior[k, 0]) * (r * s_max[n, 0])
                        y = row + (projection[n, row, column, tap + 1] + prior[k, 1]) * (r * s_max[n, 1])
                        if not (x > -2 and x < W and y > -2 and y < H):
                            continue
                        a = projection[n, row, column, tap + 3]
                        x0, y0 = int(x), int(y)
                        fx, fy = np.float32(x - x0), np.float32(y - y0)
                        for j in range(2):
                            yi = y0 + j
                            if yi < 0 or yi >= H:
                                continue
                            wy = a * (fy if j else 1 - fy)
                            for i in range(2):
                                xi = x0 + i
                                if xi < 0 or xi >= W:
                                    continue
                                w = wy * (fx if i else 1 - fx)
                                for c in range(C):
                                    acc[c] += w * projection[n, yi, xi, v0 + c]
                    for c in range(C):
                        out[n, row, column, v0 + c] = acc[c]

    @numba.njit(parallel=True, fastmath=_FAST)
    def backward(grad_out, projection, prior, s_max, grad):  # type: ignore[no-untyped-def]
        N, H, W, _ = projection.shape
        for pair in numba.prange(N * G):
            n, g = pair // G, pair % G
            v0 = g * C
            go = np.empty(C, np.float32)
            for row in range(H):
                for column in range(W):
                    for c in range(C):
                        go[c] = grad_out[n, row, column, v0 + c]
                    for k in range(K):
                        tap = first_tap + (g * K + k) * 4
                        r = reach(projection[n, row, column, tap + 2])
                        dx = projection[n, row, column, tap] + prior[k, 0]
                        dy = projection[n, row, column, tap + 1] + prior[k, 1]
                        x = column + dx * (r * s_max[n, 0])
                        y = row + dy * (r * s_max[n, 1])
                        if not (x > -2 and x < W and y > -2 and y < H):
                            continue
                        a = projection[n, row, column, tap + 3]
                        x0, y0 = int(x), int(y)
                        fx, fy = np.float32(x - x0), np.float32(y - y0)
                        grad_a = grad_x = grad_y = np.float32(0)
                        for j in range(2):
                            yi = y0 + j
                            if yi < 0 or yi >= H:
                                continue
                            wy = fy if j else 1 - fy
                            for i in range(2):
                                xi = x0 + i
                                if xi < 0 or xi >= W:
                                    continue
                                wx = fx if i else 1 - fx
                                w = a * wx * wy
                                dot = np.float32(0)
                                for c in range(C):
                                    dot += go[c] * projection[n, yi, xi, v0 + c]
                                for c in range(C):
                                    grad[n, yi, xi, v0 + c] += w * go[c]
                                grad_a += wx * wy * dot
                                grad_x += (wy if i else -wy) * dot
                                grad_y += (wx if j else -wx) * dot
                        grad_x *= a * s_max[n, 0]
                        grad_y *= a * s_max[n, 1]
                        grad[n, row, column, tap] = grad_x * r
                        grad[n, row, column, tap + 1] = grad_y * r
                        grad[n, row, column, tap + 2] = (grad_x * dx + grad_y * dy) * r * (1 - r)
                        grad[n, row, column, tap + 3] = grad_a

    return forward, backward
