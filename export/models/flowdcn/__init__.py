"""FlowDCN (arXiv 2410.22655): a class-conditional flow whose mixing operator is MultiScaleDCN."""

import dataclasses
from collections.abc import Mapping

from torch import Tensor

from fdcn.bundle import Sampling
from fdcn.export.models.base import Family, GraphSource, LatentSize, ModelSource
from fdcn.export.models.flowdcn import architecture, graphs
from fdcn.export.models.flowdcn.architecture import Architecture
from fdcn.export.trace import Signature

SAMPLING = Sampling(solver="neural", steps=10, guidance=4.0, reach=architecture.REACH, s_max_adjust=True)


def _read(tensors: Mapping[str, Tensor], source: str) -> ModelSource:
    arch = Architecture.infer({name: tuple(t.shape) for name, t in tensors.items()}, source)
    return ModelSource(
        family="flowdcn",
        architecture=dataclasses.asdict(arch),
        blocks=arch.blocks,
        channels=arch.channels,
        classes=arch.classes,
        patch=arch.patch,
        parameters=arch.parameters,
        token_bytes=arch.token_bytes,
        sampling=SAMPLING,
        graphs=lambda size: _graphs(tensors, arch, size),
    )


def _graphs(tensors: Mapping[str, Tensor], arch: Architecture, size: LatentSize) -> list[GraphSource]:
    height, width = size or ("height", "width")
    modulation = [arch.blocks, 6, arch.hidden]
    conditioner = Signature(
        inputs={"t": ["steps"], "label": ["labels"]},
        outputs={"modulation": ["rows", *modulation], "final": ["rows", 2, arch.hidden]},
    )
    denoiser = Signature(
        inputs={
            "latent": ["batch", arch.channels, height, width],
            "modulation": ["batch", *modulation],
            "final": ["batch", 2, arch.hidden],
            "s_max": ["batch", arch.blocks, 2],
        },
        outputs={"velocity": ["batch", arch.channels, height, width]},
        multiples={"height": arch.patch, "width": arch.patch},
    )
    # Sides that differ, so that tracing cannot take one for the other.
    example = size or (8 * arch.patch, 12 * arch.patch)
    return [
        GraphSource(
            "conditioner",
            lambda: (graphs.Conditioner(tensors, arch), graphs.conditioner_example()),
            conditioner,
        ),
        GraphSource(
            "denoiser",
            lambda: (graphs.Denoiser(tensors, arch), graphs.denoiser_example(arch, *example)),
            denoiser,
        ),
    ]


FAMILY = Family("flowdcn", architecture.is_flowdcn, _read)
