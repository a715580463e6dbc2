"""The denoiser with Q/DQ pairs for ONNX Runtime, in INT8: everything else in it is float32."""

import onnx_ir as ir

from fdcn.bundle import Bundle, Draft, Graph
from fdcn.export.engine import Quantised
from fdcn.export.passes.quantise import quantise
from fdcn.export.quantised import GRAPH, find, graph_names, step_groups
from fdcn.export.read import read


def int8(bundle: Bundle, draft: Draft) -> Quantised:
    """Write a bundle's denoiser for each step group into a draft, by the recipe of its calibration.

    Raises FdcnError as `quantised.find` does, and where the recipe does not fit the graph.
    """
    found = find(bundle, "int8")
    source = bundle.graph(bundle.manifest.graphs[GRAPH])
    graphs = {}
    for group, name in enumerate(graph_names(found.recipe)):
        model = read(source)
        quantise(model, found.recipe, group)
        data = f"{name}.onnx.data"
        ir.save(model, draft.path / f"{name}.onnx", external_data=data)
        written = [draft.inside(data)] if (draft.path / data).exists() else []
        graphs[name] = Graph(draft.inside(f"{name}.onnx"), written)
    return Quantised(graphs, step_groups(found.recipe), found.sha256)
