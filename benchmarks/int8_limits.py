"""What a step could take at most and where its time goes, in INT8 and in float32 on ONNX Runtime."""

import collections
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from fdcn.bench import limits
from fdcn.bundle import Bundle
from fdcn.export import products
from fdcn.export.read import read
from fdcn.export.recipe import load
from fdcn.runtime.backends import onnxrt

FLOAT32 = "float32"
SIDES = (1024, 2048)
"""Of the square products whose rate is the limit."""


def rates() -> dict[str, float]:
    """Multiply-adds a second of the best square product by precision."""
    best = {FLOAT32: limits.best_product, "int8": limits.best_integers}
    return {precision: max(side**3 / product(side) for side in SIDES) for precision, product in best.items()}


def limit(bundle: Bundle, precision: str, tokens: int, rates: dict[str, float]) -> dict[str, Any]:
    """The least that the products of a step of so many tokens could take, each at the rate of its precision."""
    found = products.products(read(bundle.graph(bundle.manifest.graphs["denoiser"])))
    quantised: set[str] = set()
    if precision == "int8":
        assert bundle.manifest.calibration is not None
        quantised.update(load(bundle.file(bundle.manifest.calibration.recipes["int8"])).quantised())
    seconds = sum(
        tokens * product.shape[0] * product.shape[1] / rates["int8" if product.name in quantised else FLOAT32]
        for product in found
    )
    return {"seconds": seconds, "products": len(found), "quantised": len(quantised)}


def profile(bundle: Bundle, precision: str, feeds: dict[str, np.ndarray], runs: int = 8) -> dict[str, float]:
    """Seconds of a step by kind of ONNX operator, from ONNX Runtime's profile of the graph as it runs."""
    engine = onnxrt.newest_engine(bundle, native=True)
    assert engine is not None
    assert engine.precision == precision, f"{precision} is not what {engine.key} is"
    options = onnxrt.session_options(True, precision)
    options.enable_profiling = True
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = f"{folder}/profile"
        path = bundle.graph(engine.graphs["denoiser"])
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        for _ in range(runs):
            session.run(None, feeds)
        return by_operator(json.loads(Path(session.end_profiling()).read_text()))


def by_operator(events: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Seconds by kind of operator: the sum of its nodes' medians over the runs, the longest kind first."""
    taken: dict[tuple[str, str], list[float]] = collections.defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("kernel_time"):
            taken[event["args"]["op_name"], event["name"]].append(event["dur"] * 1e-6)
    spent: collections.Counter[str] = collections.Counter()
    for (operator, _), seconds in taken.items():
        spent[operator] += float(np.median(seconds))
    return dict(spent.most_common())
