"""Where the time of a pass goes: its layers, by the kind of their work.

ONNX Runtime tells each node's operator. TensorRT tells a name, in which the names of the graph's nodes are strung
together where they were fused; such a layer is of its heaviest node's kind.
"""

import dataclasses
import re
from collections.abc import Iterable, Sequence

KINDS = ("GEMM", "operator", "convolution", "norm", "element-wise", "layout", "other")
"""What a share is of. "operator" is MultiScaleDCN, whether it is one layer or its function's many."""

_OPERATOR = "MultiScaleDCN"
_OPERATORS = {
    "GEMM": "MatMul Gemm FusedMatMul FusedGemm MatMulInteger MatMulIntegerToFloat QLinearMatMul Attention "
    "MultiHeadAttention",
    "convolution": "Conv FusedConv ConvTranspose NhwcFusedConv",
    "norm": "LayerNormalization SimplifiedLayerNormalization SkipLayerNormalization SkipSimplifiedLayerNormalization "
    "RMSNormalization GroupNormalization InstanceNormalization ReduceMean",
    "element-wise": "Add Sub Mul Div Pow Sqrt Neg Abs Exp Log Sin Cos Min Max Clip Where Mod Floor Round Less Greater "
    "Equal And Or Not Sigmoid Tanh Relu Gelu QuickGelu BiasGelu FastGelu Softmax Silu Swish Cast Reciprocal Erf Sum "
    "QuantizeLinear DequantizeLinear",
    "layout": "Transpose Reshape Squeeze Unsqueeze Split Concat Slice Gather GatherElements GatherND Expand Tile Pad "
    "Shape Range Identity Flatten DepthToSpace SpaceToDepth Compress Resize ReorderInput ReorderOutput",
}
_KIND = {operator: kind for kind, operators in _OPERATORS.items() for operator in operators.split()}
_UNNAMED = re.compile(r"[A-Z]\w*_\d+")
"""How ONNX Runtime calls a node without a name. All that the exporter writes have one but those of the function."""
_FUSED = re.compile(r"token_\d+$")
"""How it ends the names of nodes that its own fusions make."""
_NAMES = {
    "operator": r"multi_?scale_?dcn",
    "GEMM": r"matmul|gemm|_mm_|(?:^|[^a-z])fc|fc(?:[^a-z]|$)|mha|attention",
    "convolution": r"conv(?!ert)",
    "norm": r"norm|mean",
    "element-wise": r"add|sub|mul|div|pow|sqrt|sigm|silu|gelu|tanh|exp|softmax|pwn|pointwise|elementwise|cast|quantize",
    "layout": r"reformat|copy|transpose|reshape|shuffle|slice|split|concat|gather|select|squeeze|view|permute|move",
}


@dataclasses.dataclass(frozen=True)
class Layer:
    """One layer in one pass."""

    kind: str
    """Of `KINDS`."""
    seconds: float


def of_onnx(name: str, operator: str) -> str:
    """The kind of a node in ONNX Runtime, by its name and its operator's."""
    if operator == _OPERATOR or (_UNNAMED.fullmatch(name) and not _FUSED.search(name)):
        return "operator"
    return _KIND.get(operator, "other")


def of_layer(name: str) -> str:
    """The kind of a TensorRT layer by its name."""
    lower = name.lower()
    return next((kind for kind, pattern in _NAMES.items() if re.search(pattern, lower)), "other")


def shares(layers: Iterable[Layer]) -> dict[str, float]:
    """What part of the layers' time each kind has, in the order of `KINDS`; kinds without any are left out."""
    spent = dict.fromkeys(KINDS, 0.0)
    for layer in layers:
        spent[layer.kind] += layer.seconds
    total = sum(spent.values())
    return {kind: seconds / total for kind, seconds in spent.items() if seconds > 0}


@dataclasses.dataclass(frozen=True)
class Event:
    """A node's run, by the microsecond; nodes of a loop's body run inside the loop's event."""

    name: str
    operator: str
    start: int
    length: int


def alone(events: Sequence[Event]) -> list[Layer]:
    """Nodes with the time that is theirs alone: a loop's is less what its body took."""
    layers: list[Layer] = []
    own: list[int] = []
    open_: list[tuple[int, int]] = []  # where each event around the present one ends, and its place in `own`
    for event in sorted(events, key=lambda e: (e.start, -e.length)):
        while open_ and open_[-1][0] <= event.start:
            open_.pop()
        if open_:
            own[open_[-1][1]] -= event.length
        open_.append((event.start + event.length, len(own)))
        own.append(event.length)
        layers.append(Layer(of_onnx(event.name, event.operator), 0.0))
    return [dataclasses.replace(layer, seconds=max(0, t) * 1e-6) for layer, t in zip(layers, own, strict=True)]
