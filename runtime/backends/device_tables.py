"""The numbers of a run, as they lie on the device: what a recorded trajectory reads anew at each launch."""

import numpy as np

from fdcn.runtime.backends.base import Batch
from fdcn.runtime.backends.device_layout import Layout, Tensor
from fdcn.runtime.backends.device_shape import Shape
from fdcn.runtime.kernels import numbers_of, row_numbers


def tables(shape: Shape, blocks: int) -> Layout:
    """What a trajectory of a shape needs: R rows, each of at most `most` rows of the network.

    seeds uint64 [images]; numbers float32 [R, …], see `kernels.row_numbers`; s_max float32 [R, blocks·2]; slots int32
    [R, most] of the modulations; and own int32 [R, most], where each row has its own number throughout, by which
    s_max is repeated.
    """
    rows, most = len(shape.rows), shape.passes * shape.images
    return Layout(
        {
            "seeds": Tensor((shape.images,), np.uint64),
            "numbers": Tensor((rows, row_numbers(shape.history))),
            "s_max": Tensor((rows, 2 * blocks)),
            "own": Tensor((rows, most), np.int32),
            "slots": Tensor((rows, most), np.int32),
        }
    )


def fill(layout: Layout, block: np.ndarray, batch: Batch) -> None:
    """Write everything but the slots, which are the arena's to say, into a block of the host's memory."""
    layout.view(block, "seeds")[:] = np.array(batch.seeds, np.uint64)
    own, s_max, numbers = (layout.view(block, name) for name in ("own", "s_max", "numbers"))
    own[:] = np.arange(len(own))[:, None]
    for r, row in enumerate(batch.plan.rows):
        s_max[r] = row.s_max.reshape(-1)
        numbers[r] = numbers_of(row, batch.plan.history)
