"""What a FlowDCN checkpoint is: its parameter names, and the architecture that their shapes imply."""

import dataclasses
import math
import re
from collections.abc import Mapping

from fdcn.errors import FdcnError
from fdcn.export.checkpoint import listing
from fdcn.plugins import spec

REACH = 6.0
"""S_max in training: how far a tap with a unit direction reaches, in token pixels."""
TIME_FEATURES = 256
NORM_EPSILON = 1e-6
BODY_OVER_PROJECTION = 6
"""Peak memory of the operator's function body over its projection's bytes: the bound that its tests hold."""


@dataclasses.dataclass(frozen=True)
class Architecture:
    """Every number of a FlowDCN. `out_channels` is `channels`, or twice that where sigma is predicted too."""

    blocks: int
    hidden: int
    groups: int
    ffn: int
    channels: int
    out_channels: int
    classes: int
    patch: int = 2
    taps: int = 9

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every tensor of the released state_dict, in `parameters()` order (the EMA list's)."""
        h, g, k, p = self.hidden, self.groups, self.taps, self.patch
        shapes: dict[str, tuple[int, ...]] = {
            "x_embedder.proj.weight": (h, self.channels, p, p),
            "x_embedder.proj.bias": (h,),
            "t_embedder.mlp.0.weight": (h, TIME_FEATURES),
            "t_embedder.mlp.0.bias": (h,),
            "t_embedder.mlp.2.weight": (h, h),
            "t_embedder.mlp.2.bias": (h,),
            "y_embedder.embedding_table.weight": (self.classes + 1, h),
            "final_layer.linear.weight": (p * p * self.out_channels, h),
            "final_layer.linear.bias": (p * p * self.out_channels,),
            "final_layer.adaLN_modulation.1.weight": (2 * h, h),
            "final_layer.adaLN_modulation.1.bias": (2 * h,),
        }
        block: dict[str, tuple[int, ...]] = {
            "norm1.weight": (h,),
            "attn.deformables_prior": (1, 1, 1, 1, k, 2),
            "attn.deformables_scale": (1, 1, 1, g, 1, 1),
            "attn.v.weight": (h, h),
            "attn.v.bias": (h,),
            "attn.qk_deformables.weight": (2 * g * k, h),
            "attn.qk_deformables.bias": (2 * g * k,),
            "attn.qk_scales.weight": (g * k, h),
            "attn.qk_weights.weight": (g * k, h),
            "attn.qk_weights.bias": (g * k,),
            "attn.out.weight": (h, h),
            "attn.out.bias": (h,),
            "norm2.weight": (h,),
            "mlp.w1.weight": (self.ffn, h),
            "mlp.w3.weight": (self.ffn, h),
            "mlp.w2.weight": (h, self.ffn),
            "adaLN_modulation.1.weight": (6 * h, h),
            "adaLN_modulation.1.bias": (6 * h,),
        }
        for i in range(self.blocks):
            shapes.update({f"blocks.{i}.{name}": shape for name, shape in block.items()})
        return shapes

    @property
    def parameters(self) -> int:
        return sum(math.prod(shape) for shape in self.shapes().values())

    @property
    def token_bytes(self) -> int:
        """Activations of a token at the denoiser's widest point: the operator's function body, in float32."""
        return 4 * (
            BODY_OVER_PROJECTION * spec.projection_width(self.groups, self.hidden // self.groups, self.taps)
            + 4 * self.hidden
        )

    @classmethod
    def infer(cls, shapes: Mapping[str, tuple[int, ...]], source: str) -> "Architecture":
        """Read the architecture off a state_dict's shapes and check every tensor against it.

        Raises FdcnError, naming the first few tensors that are missing, unknown or of a wrong shape.
        """
        blocks = 1 + max((int(m[1]) for m in map(_BLOCK.match, shapes) if m), default=-1)

        def size(name: str, axis: int) -> int:
            # A truncated checkpoint may lack a tensor in one block and have it in the next.
            names = [f"blocks.{i}.{name}" for i in range(blocks)] if blocks and name in _BLOCK_SIGNATURE else [name]
            found = [shapes[n] for n in names if n in shapes and len(shapes[n]) > axis]
            if not found:
                raise FdcnError(f"{source}: {names[0]} is missing or has too few axes, so its sizes are unknown")
            return found[0][axis]

        if blocks == 0:
            raise FdcnError(f"{source} has no blocks (blocks.0.…): not a whole FlowDCN")
        patch = size("x_embedder.proj.weight", 2)
        arch = cls(
            blocks=blocks,
            hidden=size("x_embedder.proj.weight", 0),
            groups=size("attn.deformables_scale", 3),
            ffn=size("mlp.w1.weight", 0),
            channels=size("x_embedder.proj.weight", 1),
            out_channels=size("final_layer.linear.weight", 0) // max(1, patch**2),
            classes=size("y_embedder.embedding_table.weight", 0) - 1,
            patch=patch,
            taps=size("attn.deformables_prior", 4),
        )
        arch._compare(shapes, source)
        return arch

    def _compare(self, found: Mapping[str, tuple[int, ...]], source: str) -> None:
        wanted = self.shapes()
        problems = [
            f"{name} is missing (expected {list(shape)})" for name, shape in wanted.items() if name not in found
        ]
        problems += [
            f"{name} is {list(found[name])}, expected {list(shape)}"
            for name, shape in wanted.items()
            if name in found and tuple(found[name]) != shape
        ]
        problems += [f"{name} {list(shape)} is unknown" for name, shape in found.items() if name not in wanted]
        if problems:
            raise FdcnError(f"{source} does not fit a FlowDCN of {self.blocks} blocks: {listing(problems)}")
        if self.hidden % self.groups or self.out_channels not in (self.channels, 2 * self.channels) or self.classes < 1:
            raise FdcnError(f"{source} is no FlowDCN: impossible sizes {dataclasses.asdict(self)}")


_BLOCK = re.compile(r"blocks\.(\d+)\.")
_BLOCK_SIGNATURE = ("attn.deformables_scale", "attn.deformables_prior", "mlp.w1.weight")


def is_flowdcn(shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether these tensors are a FlowDCN's, whole or damaged: no other network has a deformables_prior."""
    return any(name.endswith(".attn.deformables_prior") for name in shapes)
