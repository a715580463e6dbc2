"""MultiScaleDCN's ONNX schema, so that checker and shape inference know the operator."""

import onnx.defs
from onnx.defs import OpSchema

from fdcn.plugins import spec

_DOC = "Multi-scale deformable convolution of FlowDCN (arXiv 2410.22655); the contract is fdcn/plugins/spec.py."


def register() -> None:
    """Make onnx know the operator in this process. Calling it again does nothing."""
    if onnx.defs.has(spec.NAME, spec.DOMAIN):
        return
    onnx.defs.register_schema(schema())


def schema() -> OpSchema:
    """The schema of `spec`, with inference of the output's type and shape."""
    t, f32 = "T", "tensor(float)"
    return OpSchema(
        spec.NAME,
        spec.DOMAIN,
        spec.VERSION,
        doc=_DOC,
        inputs=[
            OpSchema.FormalParameter("projection", t, description="[N, H, W, G·C + G·K·4]: values, then taps"),
            OpSchema.FormalParameter("prior", f32, description="[K, 2]: the taps' grid as (x, y)"),
            OpSchema.FormalParameter("s_max", f32, description="[N, 2]: reach in token pixels as (x, y)"),
        ],
        outputs=[OpSchema.FormalParameter(spec.OUTPUT, t, description="[N, H, W, G·C]")],
        type_constraints=[(t, ["tensor(float)", "tensor(float16)", "tensor(bfloat16)"], "values, taps and output")],
        attributes=[
            *(OpSchema.Attribute(n, OpSchema.AttrType.INT, description="", required=True) for n in ("groups", "taps")),
            *(
                OpSchema.Attribute(n, OpSchema.AttrType.STRING, description="for TensorRT", required=False)
                for n in spec.PLUGIN_ATTRIBUTES
            ),
        ],
    )
