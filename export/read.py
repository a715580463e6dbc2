"""Read a graph that fdcn wrote, for passes to edit. Its weights stay in their file until they are used."""

from pathlib import Path

import onnx_ir as ir

from fdcn.errors import FdcnError


def read(path: Path) -> ir.Model:
    """The graph in a file of a bundle, hashes checked before. Raises FdcnError where it cannot be read."""
    try:
        model = ir.load(path)
    except Exception as error:  # protobuf's and onnx_ir's errors have no common base but this one
        line = (str(error).strip() or type(error).__name__).splitlines()[0][:160]
        raise FdcnError(f"{path} is no ONNX file that can be read ({line}); run fdcn export again") from error
    weights = {value.const_value for value in model.graph.initializers.values()}
    for file in {Path(tensor.path) for tensor in weights if isinstance(tensor, ir.ExternalTensor)}:
        if file.stat().st_nlink > 1:  # onnx_ir would refuse it in the middle of the work
            raise FdcnError(f"{file} has other names too (hard links); copy the bundle, cp -r, and use the copy")
    return model
