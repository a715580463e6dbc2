"""The sampler's kernels (runtime/native/sampler.cu) in NumPy, on a simulated GPU's memory."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import simulated_gpu

from fdcn.runtime.images import latent_preview, to_pixels
from fdcn.runtime.noise import normals

PASSES = 3


class Kernels:
    """Each kernel by its name in sampler.cu, with the parameters that it has there."""

    def __init__(self, cuda: simulated_gpu.Cuda) -> None:
        self._cuda = cuda
        self.launched: list[str] = []

    def launch(self, name: str, stream: int, *arguments: Any) -> None:
        """Give a kernel's work to a stream; its tensors are looked at when it is done."""
        kernel: Callable[..., None] = getattr(self, name)
        self.launched.append(name)
        self._cuda.give(stream, functools.partial(kernel, *arguments))

    def fdcn_begin(
        self, noise: int, seeds: int, base: int, point: int, input: int, images: int, elements: int, passes: int
    ) -> None:
        shape = images, elements
        if noise:
            x = self._floats(noise, *shape)
        else:
            x = np.stack(
                [normals(int(seed), 0, 0, (elements,)) for seed in self._cuda.array(seeds, (images,), np.uint64)]
            )
        for where in (base, point):
            self._floats(where, *shape)[...] = x
        self._floats(input, passes, *shape)[...] = x

    def fdcn_advance(
        self,
        row: int,
        velocity: int,
        seeds: int,
        base: int,
        point: int,
        history: int,
        input: int,
        predicted: int,
        images: int,
        elements: int,
        guided: int,
        m: int,
        newest: int,
        step: int,
        passes: int,
        next_passes: int,
    ) -> None:
        shape, terms = (images, elements), m + 4
        numbers = self._floats(row, 2 * terms + 2 * PASSES + 2)
        weights = numbers[2 * terms :][: 2 * PASSES].reshape(PASSES, 2)
        outputs, past = self._floats(velocity, passes, *shape), self._floats(history, m, *shape)
        v = np.zeros(shape, np.float32)
        for output, (on_guided, on_rest) in zip(outputs, weights, strict=False):
            v[:, :guided] += on_guided * output[:, :guided]
            v[:, guided:] += on_rest * output[:, guided:]
        past[newest] = v
        x, p = self._floats(base, *shape), self._floats(point, *shape)
        before = p.copy()

        def term(k: int) -> np.ndarray:
            if k < 2:
                return (x, before)[k]
            if k < 2 + m:
                return past[(newest + m - (k - 2)) % m]
            drawn = self._cuda.array(seeds, (images,), np.uint64)
            return np.stack([normals(int(seed), step, k - 2 - m, (elements,)) for seed in drawn])

        made = []
        for coefficients in (numbers[:terms], numbers[terms : 2 * terms]):
            used = np.flatnonzero(coefficients)
            made.append(
                sum((coefficients[k] * term(int(k)) for k in used[1:]), coefficients[used[0]] * term(int(used[0])))
            )
        x[...], p[...] = made
        if predicted:
            a, b = numbers[2 * terms + 2 * PASSES :]
            self._floats(predicted, *shape)[...] = a * before + b * v
        self._floats(input, next_passes, *shape)[...] = p

    def fdcn_move_rows(self, numbers: int, source: int, to: int, width: int, scatter: int, rows: int) -> None:
        for i, number in enumerate(self._cuda.array(numbers, (rows,), np.int32)):
            if number >= 0:
                a, b = (i, int(number)) if scatter else (int(number), i)
                self._floats(to + 4 * width * b, width)[...] = self._floats(source + 4 * width * a, width)

    def fdcn_to_pixels(
        self, picture: int, pixels: int, images: int, channels: int, rows: int, columns: int, height: int, width: int
    ) -> None:
        made = to_pixels(self._floats(picture, images, channels, rows, columns), (width, height))
        self._cuda.array(pixels, made.shape, np.uint8)[...] = made

    def fdcn_preview(
        self, latent: int, picture: int, images: int, channels: int, rows: int, columns: int, factor: int
    ) -> None:
        made = latent_preview(self._floats(latent, images, channels, rows, columns), factor)
        self._floats(picture, *made.shape)[...] = made

    def fdcn_find_not_finite(self, values: int, count: int, flag: int) -> None:
        if not np.isfinite(self._floats(values, count)).all():
            self._cuda.array(flag, (1,), np.int32)[0] = 1

    def _floats(self, address: int, *shape: int) -> np.ndarray:
        return self._cuda.array(address, shape, np.float32)
