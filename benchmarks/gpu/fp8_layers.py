"""Which layers keep a quantised engine from being faster: its time beside float16's, by what the layers compute."""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import bench_layers

from fdcn.bundle import Bundle
from fdcn.export import products
from fdcn.export.read import read

LISTED = 40


def roles(bundle: Bundle) -> dict[str, str]:
    """What each product of the denoiser is, by the name of its node, which passes leave as it is."""
    model = read(bundle.graph(bundle.manifest.graphs["denoiser"]))
    return {str(product.node.name): product.role for product in products.products(model)}


def seconds(
    taken: Mapping[str, Sequence[float]], made_of: Mapping[str, Sequence[str]], known: Mapping[str, str]
) -> dict[str, float]:
    """Seconds of a call by role, from samples of each layer and the nodes that it was made of.

    A layer with a product in it is that product's; where there are two, as of w1 and w3 at once, both name it. Every
    other one is of the kind that its name tells.
    """
    spent = Counter[str]()
    for layer, samples in taken.items():
        found = sorted({known[node] for node in made_of.get(layer, ()) if node in known})
        spent[" and ".join(found) or bench_layers.kind(layer)] += statistics.median(samples)
    return dict(spent.most_common())


def longest(taken: Mapping[str, Sequence[float]], made_of: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Any]]:
    """The layers that take longest, with their nodes."""
    medians = {layer: statistics.median(samples) for layer, samples in taken.items()}
    first = sorted(medians, key=lambda layer: -medians[layer])[:LISTED]
    return {layer[:120]: {"seconds": medians[layer], "nodes": list(made_of.get(layer, ()))[:8]} for layer in first}


def behind(half: Mapping[str, float], low: Mapping[str, float], wanted: float) -> list[dict[str, Any]]:
    """Roles by the seconds that each takes beyond its share, were all to be `wanted` times as fast as in float16."""
    rows = []
    for role in {**half, **low}:
        before, now = half.get(role, 0.0), low.get(role, 0.0)
        rows.append({"role": role, "float16_seconds": before, "seconds": now, "beyond": now - before / wanted})
    return sorted(rows, key=lambda row: -row["beyond"])


def sentence(row: Mapping[str, Any], total: float) -> str:
    """The layer that prevents more, in words; `total` is the seconds of all."""
    was = f"was {1e3 * row['float16_seconds']:.2f} ms in float16"
    return f"{row['role']} prevents it: {1e3 * row['seconds']:.2f} of {1e3 * total:.2f} ms, {was}"
