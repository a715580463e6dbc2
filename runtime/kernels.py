"""The sampler outside the network on a GPU: `native/sampler.cu`, compiled by NVRTC, launched through cuda-python.

Tensors are addresses on the device, contiguous; a stream is a number. Launches are checked and wait for nothing.
"""

import ctypes
from pathlib import Path
from typing import Any

import numpy as np

from fdcn.plugins import gpu_launch, nvrtc
from fdcn.runtime.plan import Row

SOURCE = nvrtc.Source(Path(__file__).parent / "native", "sampler.cu", ("advance.h", "philox.h", "pixels.h"))
NAMES = ("begin", "advance", "move_rows", "to_pixels", "preview", "find_not_finite")
THREADS = 64
"""Of a block: a latent is small, and shall lie on many multiprocessors, for some are slow at the noise's float64."""
MOST_BLOCKS = 2**14
"""More than run at once on any GPU: the kernels go on where the grid ends."""
PASSES = 3
"""kPasses of advance.h: the most passes of a row."""

_ADDRESS, _LONG, _INT = ctypes.c_void_p, ctypes.c_longlong, ctypes.c_int


def row_numbers(history: int) -> int:
    """How many float32 numbers the kernels read of a row, see `numbers_of`."""
    return 2 * (history + 4) + 2 * PASSES + 2


def numbers_of(row: Row, history: int) -> np.ndarray:
    """A plan's row as advance.h reads it: float32 [row_numbers(history)]."""
    weights = np.zeros((PASSES, 2), np.float32)
    weights[: len(row.passes)] = [(run.guided, run.rest) for run in row.passes]
    numbers = np.concatenate([row.base, row.point, weights.reshape(-1), row.predicted])
    assert numbers.shape == (row_numbers(history),)
    return numbers.astype(np.float32)


class SamplerKernels:
    """The kernels on the device that is current, compiled and loaded when this is made: before a stream is captured.

    Raises FdcnError where nothing can compile for the device. Its methods raise RuntimeError with what the driver said.
    """

    def __init__(self) -> None:
        self._functions = {name: gpu_launch.function(SOURCE, f"fdcn_{name}") for name in NAMES}

    def begin(
        self,
        noise: int,
        seeds: int,
        base: int,
        point: int,
        latent: int,
        images: int,
        elements: int,
        passes: int,
        stream: int,
    ) -> None:
        """Where a trajectory starts: float32 [images, elements] from `noise`, or drawn from uint64 seeds where it is 0.

        Written to base, to point, and `passes` times to latent, the network's input.
        """
        values = (noise, seeds, base, point, latent, images, elements, passes)
        self._launch("begin", images * _quads(elements), 1, stream, values, (_ADDRESS,) * 5 + (_LONG, _LONG, _INT))

    def advance(
        self,
        numbers: int,
        velocity: int,
        seeds: int,
        base: int,
        point: int,
        outputs: int,
        latent: int,
        predicted: int,
        *,
        images: int,
        elements: int,
        guided: int,
        history: int,
        row: int,
        passes: int,
        next_passes: int,
        stream: int,
    ) -> None:
        """Row `row` of a plan, as `runtime.advance.State.advance`; base and point are changed in place.

        Args:
            numbers: the row's `numbers_of`.
            velocity: the network's outputs, float32 [passes, images, elements].
            outputs: the last weighted ones, float32 [history, images, elements]; this row's replaces the oldest.
            latent: the network's next input, float32 [next_passes, images, elements].
            predicted: where to write the final latents that this row predicts, 0 for nowhere.
            elements: of an image; the first `guided` of them are guided.
        """
        values: tuple[int, ...] = (
            numbers,
            velocity,
            seeds,
            base,
            point,
            outputs,
            latent,
            predicted,
            images,
            elements,
            guided,
        )
        # The noise of step 0 is the start's.
        values += (history, row % history, row + 1, passes, next_passes)
        types = (_ADDRESS,) * 8 + (_LONG,) * 3 + (_INT,) * 5
        self._launch("advance", images * _quads(elements), 1, stream, values, types)

    def gather(self, numbers: int, source: int, target: int, rows: int, width: int, stream: int) -> None:
        """target[i] = source[numbers[i]] for `rows` int32 numbers: float32 rows of `width`."""
        self._move(numbers, source, target, rows, width, 0, stream)

    def scatter(self, numbers: int, source: int, target: int, rows: int, width: int, stream: int) -> None:
        """target[numbers[i]] = source[i], but where a number is negative."""
        self._move(numbers, source, target, rows, width, 1, stream)

    def to_pixels(
        self,
        picture: int,
        pixels: int,
        images: int,
        shape: tuple[int, int, int],
        size: tuple[int, int],
        stream: int,
    ) -> None:
        """float32 [images, *shape], shape (C, H, W), to uint8 [images, height, width, C], size (width, height)."""
        width, height = size
        values = (picture, pixels, images, *shape, height, width)
        types = (_ADDRESS, _ADDRESS, _LONG) + (_INT,) * 5
        self._launch("to_pixels", images * height * width, 1, stream, values, types)

    def latent_preview(
        self, latent: int, picture: int, images: int, channels: int, rows: int, columns: int, factor: int, stream: int
    ) -> None:
        """`runtime.images.latent_preview`: float32 [images, channels, rows, columns] to a picture [images, 3, …]."""
        values = (latent, picture, images, channels, rows, columns, factor)
        work = images * 3 * rows * columns * factor**2
        self._launch("preview", work, 1, stream, values, (_ADDRESS, _ADDRESS, _LONG) + (_INT,) * 4)

    def find_not_finite(self, values: int, count: int, flag: int, stream: int) -> None:
        """Set the int32 flag to 1 where a float32 value is not finite; nothing sets it back."""
        self._launch("find_not_finite", count, 1, stream, (values, count, flag), (_ADDRESS, _LONG, _ADDRESS))

    def _move(self, numbers: int, source: int, target: int, rows: int, width: int, scatter: int, stream: int) -> None:
        types = (_ADDRESS,) * 3 + (_LONG, _INT)
        self._launch("move_rows", _quads(width), rows, stream, (numbers, source, target, width, scatter), types)

    def _launch(
        self, name: str, work: int, rows: int, stream: int, values: tuple[int, ...], types: tuple[Any, ...]
    ) -> None:
        """A thread for each piece of work, as far as the grid goes, in each of `rows`."""
        blocks = min(-(-work // THREADS), MOST_BLOCKS)
        if blocks and rows:
            geometry = (blocks, rows, 1, THREADS, 1, 1, 0)
            gpu_launch.call("cuLaunchKernel", self._functions[name], *geometry, stream, (values, types), 0)


def _quads(elements: int) -> int:
    return -(-elements // 4)
