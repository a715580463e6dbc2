"""Take the body of MultiScaleDCN away, so that only a plugin can run the model."""

import onnx_ir as ir

from fdcn.plugins import spec


def strip_operator(model: ir.Model) -> bool:
    """Drop the operator's function and keep its nodes: TensorRT's versions differ in which of the two they prefer.

    The inverse of `embed_operator`. Raises ValueError where the nodes are not of this version of the operator.
    """
    used = any((n.domain, n.op_type) == (spec.DOMAIN, spec.NAME) for n in model.graph)
    if used and model.opset_imports.get(spec.DOMAIN) != spec.VERSION:
        found = model.opset_imports.get(spec.DOMAIN)
        raise ValueError(f"the model imports version {found} of the operators of {spec.DOMAIN!r}, not {spec.VERSION}")
    bodies = [key for key in model.functions if key[:2] == (spec.DOMAIN, spec.NAME)]
    for key in bodies:
        del model.functions[key]
    return bool(bodies)
