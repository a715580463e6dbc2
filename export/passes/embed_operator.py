"""Give a model the body of MultiScaleDCN, so that any ONNX runtime can run it."""

import onnx_ir as ir

from fdcn.plugins import function, spec


def embed_operator(model: ir.Model, chunked: bool = True) -> bool:
    """Add the operator's function of standard operators where the graph uses the operator, in the place of another.

    `chunked` is the form for processors; TensorRT takes the other (see `function.function`).
    Raises ValueError where two nodes ask for different groups or taps: one body serves one layout.
    """
    nodes = [n for n in model.graph if (n.domain, n.op_type) == (spec.DOMAIN, spec.NAME)]
    layouts = {(n.attributes["groups"].as_int(), n.attributes["taps"].as_int()) for n in nodes}
    if not layouts:
        return False
    if len(layouts) > 1:
        raise ValueError(f"one function body cannot serve several layouts (groups, taps): {sorted(layouts)}")
    body = ir.serde.deserialize_function(function.function(*layouts.pop(), chunked))
    model.functions[body.identifier()] = body
    model.opset_imports.setdefault(spec.DOMAIN, spec.VERSION)
    return True
