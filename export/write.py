"""Write a traced model with its weights beside it, and check the file as any consumer will read it."""

from pathlib import Path

import onnx
import onnx.checker
import onnx.shape_inference
import onnx_ir as ir

from fdcn.plugins import schema


def write(model: ir.Model, folder: Path, name: str) -> list[str]:
    """Write `name`.onnx and `name`.onnx.data into a folder and check them.

    Returns the names of the files with weights, empty where the graph has none. Raises onnx.checker.ValidationError
    or onnx.shape_inference.InferenceError for a graph that breaks ONNX's rules: a defect of the exporter.
    """
    path, data = folder / f"{name}.onnx", f"{name}.onnx.data"
    ir.save(model, path, external_data=data)
    _check(path)
    return [data] if (folder / data).exists() else []


def _check(path: Path) -> None:
    schema.register()
    onnx.checker.check_model(str(path), full_check=True)
    # Strict inference, without the weights: a shape or type that does not follow is an error.
    onnx.shape_inference.infer_shapes(onnx.load(path, load_external_data=False), strict_mode=True, data_prop=True)
