"""A bundle's graphs in half precision for ONNX Runtime: what a GPU is to compute, rounded alike, on a CPU."""

import dataclasses
from pathlib import Path

import onnx_ir as ir

from fdcn.bundle import Bundle, File, Graph, sha256
from fdcn.export.passes.half_precision import half_precision
from fdcn.export.read import read


def write(bundle: Bundle, folder: Path) -> Bundle:
    """Write the graphs in float16 into a folder; gives the bundle that holds them and no engines.

    Raises FdcnError where a weight is outside the range of float16.
    """
    graphs, files = {}, {}
    for name, graph in bundle.manifest.graphs.items():
        model = read(bundle.graph(graph))
        half_precision(model, ir.DataType.FLOAT16)
        data = f"{name}.onnx.data"
        ir.save(model, folder / f"{name}.onnx", external_data=data)
        graphs[name] = Graph(f"{name}.onnx", [data] if (folder / data).exists() else [])
        for written in (graphs[name].file, *graphs[name].data):
            files[written] = File((folder / written).stat().st_size, sha256(folder / written))
    return Bundle(folder, dataclasses.replace(bundle.manifest, graphs=graphs, engines=[], files=files))
