"""MultiScaleDCN's ONNX schema, so that the checker knows its attributes and shape inference sees through it."""

import onnx
import onnx.shape_inference
from onnx import defs, helper
from onnx.shape_inference import InferenceError

from fdcn.plugins import spec

_T = tuple(f"tensor({name})" for name in ("float", "float16", "bfloat16"))
_FLOAT = "tensor(float)"


def register() -> None:
    """Register the schema of `spec` with onnx, once a process."""
    if not defs.has(spec.NAME, spec.DOMAIN):
        defs.register_schema(_schema())


def _schema() -> defs.OpSchema:
    parameter, attribute = defs.OpSchema.FormalParameter, defs.OpSchema.Attribute
    projection, prior, s_max = spec.INPUTS
    schema = defs.OpSchema(
        spec.NAME,
        spec.DOMAIN,
        spec.VERSION,
        doc=spec.__doc__ or "",
        inputs=[parameter(projection, "T"), parameter(prior, _FLOAT), parameter(s_max, _FLOAT)],
        outputs=[parameter(spec.OUTPUT, "T")],
        type_constraints=[("T", _T, "What is stored; the arithmetic is float32.")],
        attributes=[
            attribute("groups", defs.OpSchema.AttrType.INT, "G", required=True),
            attribute("taps", defs.OpSchema.AttrType.INT, "K", required=True),
            *(attribute(name, helper.make_attribute(name, value)) for name, value in spec.PLUGIN_ATTRIBUTES.items()),
        ],
    )
    schema.set_type_and_shape_inference_function(_infer)
    return schema


def _infer(context: onnx.shape_inference.InferenceContext) -> None:
    """The output is the projection without its taps; InferenceError where the projection cannot hold them."""
    projection = context.get_input_type(0)
    if not projection.HasField("tensor_type"):
        return
    result = onnx.TypeProto()
    result.CopyFrom(projection)
    if projection.tensor_type.HasField("shape"):
        axes = result.tensor_type.shape.dim
        if len(axes) != 4:
            raise InferenceError(f"{spec.NAME}: the projection has {len(axes)} axes, not 4 (N, H, W, width)")
        width = axes[3].dim_value if axes[3].HasField("dim_value") else None
        axes[3].Clear()
        if width is not None:
            axes[3].dim_value = _values(width, *(context.get_attribute(name).i for name in ("groups", "taps")))
    context.set_output_type(0, result)


def _values(width: int, groups: int, taps: int) -> int:
    try:
        return spec.value_width(width, groups, taps)
    except ValueError as error:
        raise InferenceError(f"{spec.NAME}: {error}") from error
