"""The S_max rule: how far taps reach when a picture is larger than those in training."""

import numpy as np

from fdcn.runtime.tables import OUTER_BLOCKS, S_MAX_UNTIL


def adjusted_blocks(blocks: int) -> range:
    """Indices of the blocks that the rule touches: none where there are nine or fewer."""
    return range(OUTER_BLOCKS + 1, blocks - OUTER_BLOCKS)


def s_max(t: float, blocks: int, reach: float, stretch: tuple[float, float]) -> np.ndarray:
    """Reach in token pixels as (x, y) for each block, float32 [blocks, 2] (FlowDCN's released sampler).

    `stretch` is how many times wider and higher than in training the token grid is; (1, 1) turns the rule off. The
    reach of the middle blocks grows with it, at most to twice the trained one at t = 0, falling to it at t = 0.6.
    """
    result = np.full((blocks, 2), reach)
    if t < S_MAX_UNTIL:
        most = 1 + (S_MAX_UNTIL - t) / S_MAX_UNTIL
        result[adjusted_blocks(blocks)] *= [min(most, max(1.0, factor)) for factor in stretch]
    return result.astype(np.float32)
