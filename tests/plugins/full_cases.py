"""What full TensorRT takes of a plugin with no GPU, where its builder does not start.

    python full_cases.py KIND [LIBRARY]

Registers it, makes a node's plugin from attributes, and for "aot" works out the launch with numbers for dimensions.
Prints JSON.
"""

import importlib
import json
import sys

import numpy as np

from fdcn.errors import FdcnError
from fdcn.plugins import flavours, spec, tensorrt_plugin


class Number:
    """A dimension that is known."""

    def __init__(self, value):
        self.value = value

    def is_constant(self):
        return True

    def get_constant_value(self):
        return self.value


class Arithmetic:
    """An IExprBuilder for numbers."""

    def __init__(self, operations):
        self.known = {
            operations.SUM: lambda a, b: a + b,
            operations.SUB: lambda a, b: a - b,
            operations.PROD: lambda a, b: a * b,
            operations.FLOOR_DIV: lambda a, b: a // b,
            operations.CEIL_DIV: lambda a, b: -(-a // b),
        }

    def constant(self, value):
        return Number(value)

    def operation(self, operation, a, b):
        return Number(self.known[operation](a.value, b.value))


def launch(trt, kept):
    """The launch of a 3×9×17 grid with 2 groups of 5 channels and 9 taps."""
    trtp = importlib.import_module("tensorrt.plugin")
    expressions = importlib.import_module("tensorrt.plugin._tensor")
    expressions.trt.IDimensionExpr = Number
    expressions.SymIntExpr._exprBuilder = Arithmetic(trt.DimensionOperation)
    tensors = []
    for shape, dtype in (((3, 9, 17, 82), trt.float16), ((9, 2), trt.float32), ((3, 2), trt.float32)):
        sizes = tuple(trtp.ShapeExpr(Number(size)) for size in shape)
        tensors.append(trtp.TensorDesc(trtp.ShapeExprs.from_tuple(sizes), dtype))
    describe, implement = kept
    attributes = np.array([2], np.int32), np.array([9], np.int32)
    out = describe(*tensors, *attributes)
    name, code, params, extra = implement(*tensors, *attributes, (out,), 0)
    return {
        "shape": [size._expr.value for size in out.shape_expr],
        "dtype": out.dtype.name,
        "name": name,
        "ptx": code.decode(),
        "launch": {field: value._expr.value for field, value in vars(params).items()},
        "sizes": [size._expr.value for size in extra],
    }


def main():
    kind, *library = sys.argv[1:]
    flavour = flavours.load("tensorrt")
    trt, result = flavour.module, {"version": flavour.version, "cuda": flavour.cuda}
    try:
        flavours.builder(flavour, None)
    except FdcnError as error:
        result["builder"] = str(error)
    try:
        kept = tensorrt_plugin.register(flavour, kind, *library)
    except FdcnError as error:
        print(json.dumps(result | {"error": str(error)}))
        return
    creator = trt.get_plugin_registry().get_creator(spec.NAME, str(spec.VERSION), spec.DOMAIN)
    values = {"groups": np.array([2], np.int32), "taps": np.array([9], np.int32)}
    fields = [trt.PluginField(name, value, trt.PluginFieldType.INT32) for name, value in values.items()]
    words = (spec.NAME, spec.DOMAIN) if kind == "aot" else (spec.NAME,)
    last = (trt.QuickPluginCreationRequest.STRICT_AOT,) if kind == "aot" else ()
    plugin = creator.create_plugin(*words, trt.PluginFieldCollection(fields), trt.TensorRTPhase.BUILD, *last)
    if kind == "aot":
        types = [trt.bfloat16, trt.float32, trt.float32]
        result["types"] = [dtype.name for dtype in plugin.get_output_data_types(types, [4, 2, 2])]
        result |= launch(trt, kept)
    else:
        result["timing"] = plugin.get_capability_interface(trt.PluginCapabilityType.BUILD).timing_cache_id
    print(json.dumps(result))


if __name__ == "__main__":
    main()
