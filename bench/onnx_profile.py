"""ONNX Runtime's own account of where the time of a pass goes."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fdcn.bench.layers import Event, Layer, alone
from fdcn.bench.subjects import ONNXRUNTIME, Subject

PASSES = 3
"""That are counted; the one before them is not."""
_NODE = "_kernel_time"
"""The end of an event's name that is a node's run."""


def profile(subject: Subject, feeds: Mapping[str, np.ndarray], graph: str = "denoiser") -> list[Layer]:
    """The layers of some passes of a denoiser, in a session of its own."""
    import onnxruntime as ort

    from fdcn.runtime.backends.onnxrt import optimised_ahead, session_options

    options, level = session_options(subject.native, subject.precision), ort.GraphOptimizationLevel
    engines = [engine for engine in subject.bundle.manifest.engines if engine.backend == ONNXRUNTIME]
    as_it_is = engines and optimised_ahead(engines[0])
    options.graph_optimization_level = level.ORT_DISABLE_ALL if as_it_is else level.ORT_ENABLE_ALL
    graphs = engines[0].graphs if engines else subject.bundle.manifest.graphs
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        options.enable_profiling = True
        options.profile_file_prefix = f"{folder}/profile"
        path = subject.bundle.graph(graphs[graph])
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        for _ in range(1 + PASSES):
            session.run(None, dict(feeds))
        return read(json.loads(Path(session.end_profiling()).read_text(encoding="utf-8")))


def read(trace: list[dict[str, Any]]) -> list[Layer]:
    """The layers in a trace, those of its first pass left out."""
    passes = sorted(event["ts"] for event in trace if event["name"] == "model_run")
    nodes = [
        Event(event["name"].removesuffix(_NODE), event["args"]["op_name"], event["ts"], event["dur"])
        for event in trace
        if event.get("cat") == "Node" and event["name"].endswith(_NODE)
    ]
    return alone([node for node in nodes if node.start >= passes[1]])
