"""The denoiser with Q/DQ pairs for ONNX Runtime, in INT8: everything else in it is float32."""

from fdcn.bundle import Bundle, Draft, Graph
from fdcn.export.engine import Quantised
from fdcn.export.passes.quantise import quantise
from fdcn.export.quantised import GRAPH, find, graph_names, step_groups
from fdcn.export.read import read
from fdcn.export.write import write


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
        data = write(model, draft.path, name)
        graphs[name] = Graph(draft.inside(f"{name}.onnx"), [draft.inside(file) for file in data])
    return Quantised(graphs, step_groups(found.recipe), found.sha256)
