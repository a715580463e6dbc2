"""A bundle's graphs in a lower precision for ONNX Runtime: what a GPU is to compute, rounded alike, on a CPU."""

import dataclasses
from pathlib import Path

import onnx_ir as ir

from fdcn.bundle import QUANTISED, Bundle, Engine, File, Graph, sha256
from fdcn.export.passes.half_precision import half_precision
from fdcn.export.passes.quantise import quantise
from fdcn.export.quantised import GRAPH, find, graph_names, step_groups
from fdcn.export.read import read
from fdcn.export.write import write as write_graph
from fdcn.runtime.backends import onnxrt

REST = {"float16": "float16", "int8": "float32", "fp8": "float16"}
"""What all that is not quantised computes in. INT8 is as on a CPU, whose engines have no half precision; FP8 is as on a
GPU, which alone has FP8."""


def write(bundle: Bundle, folder: Path, precision: str, native: bool) -> Bundle:
    """Write the graphs in float16, or with INT8 or FP8 products, into a folder; gives the bundle that runs them.

    It has one engine, of ONNX Runtime, whose operator is native or not. Raises FdcnError where a weight is outside the
    range of float16, and where the bundle is not calibrated for its weights.
    """
    manifest = bundle.manifest
    recipe = find(bundle, precision).recipe if precision in QUANTISED else None
    groups = graph_names(recipe) if recipe else [GRAPH]
    graphs = {}
    for name, graph in manifest.graphs.items():
        path = bundle.graph(graph)
        for number, written in enumerate(groups if name == GRAPH else [name]):
            model = read(path)
            if recipe and name == GRAPH:
                quantise(model, recipe, number)
            if REST[precision] == "float16":
                half_precision(model, ir.DataType.FLOAT16)
            graphs[written] = Graph(f"{written}.onnx", write_graph(model, folder, written))
    names = [name for graph in graphs.values() for name in (graph.file, *graph.data)]
    files = {name: File((folder / name).stat().st_size, sha256(folder / name)) for name in names}
    key, divided = onnxrt.engine_key(native, precision), step_groups(recipe) if recipe else []
    engine = Engine(onnxrt.NAME, key, graphs, step_groups=divided)
    portable = {name: graphs[name] for name in manifest.graphs}
    changed = dataclasses.replace(manifest, graphs=portable, engines=[engine], files=files, calibration=None)
    return Bundle(folder, changed)
