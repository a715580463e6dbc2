"""How far ranges drift over a trajectory, and whether groups of its steps deserve ranges of their own."""

import itertools
from collections.abc import Sequence

import numpy as np

from fdcn.calib import ranges
from fdcn.calib.layers import Layer
from fdcn.calib.statistics import bin_edges

MOST_GROUPS = 4
GAIN = 1.0
"""Decibels of the network's output that groups must gain: each is another graph, with its weights, in the engine."""


def drift(largest: np.ndarray) -> float:
    """How many times as large a value [T] is at one time as at another; 1 where it is always zero."""
    used = largest[largest > 0]
    return float(used.max() / used.min()) if len(used) else 1.0


def groupings(layers: Sequence[Layer], precision: str) -> list[list[slice]]:
    """For 2, 3, … groups the contiguous ones of T times whose ranges lose the least, as slices of the times.

    The loss of a group is the noise of its best range over the power of the values, summed over times and layers: by
    dynamic programming over where groups end, no other cut is better.
    """
    costs = _costs(layers, precision)
    times = len(costs)
    best = [costs[0]]  # best[g][j]: of g + 1 groups that hold times 0 to j
    starts: list[np.ndarray] = []
    for _ in range(1, min(MOST_GROUPS, times)):
        # The last group starts at i: [i, j] is added to the best of the groups before.
        totals = np.full((times, times), np.inf)
        for i, j in itertools.combinations_with_replacement(range(1, times), 2):
            totals[i, j] = best[-1][i - 1] + costs[i, j]
        starts.append(totals.argmin(0))
        best.append(totals.min(0))
    return [_cut(starts[: count - 1], times) for count in range(2, len(best) + 1)]


def untils(groups: Sequence[slice], times: np.ndarray) -> list[float]:
    """The last time of each group: half way to the next one's first, since other samplers stop in between; then 1."""
    ends = [(float(times[group.stop - 1]) + float(times[group.stop])) / 2 for group in groups[:-1]]
    return [*ends, 1.0]


def _costs(layers: Sequence[Layer], precision: str) -> np.ndarray:
    """float64 [T, T]: of one group of the times i to j, infinite where j is before i."""
    times = len(layers[0].largest)
    costs = np.full((times, times), np.inf)
    costs[np.triu_indices(times)] = 0
    edges = bin_edges()
    for layer in layers:
        if not layer.largest.any():
            continue
        candidates = ranges.candidates_below(edges, float(layer.largest.max()))
        power = ranges.power(layer.counts, edges)[:, None]
        noise = ranges.noise(layer.counts, edges, candidates, precision) / np.where(power > 0, power, 1)
        for i in range(times):
            costs[i, i:] += np.cumsum(noise[i:], axis=0).min(1)
    return costs


def _cut(starts: Sequence[np.ndarray], times: int) -> list[slice]:
    """The groups that end at the last time, read backwards: `starts` of 2, 3, … groups."""
    found, stop = [], times
    for start in reversed(starts):
        begin = int(start[stop - 1])
        found.append(slice(begin, stop))
        stop = begin
    return [slice(0, stop), *reversed(found)]
