"""`fdcn export`: a checkpoint becomes a bundle."""

import dataclasses
import gc
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from fdcn import __version__
from fdcn.bundle import FORMAT, Bundle, Draft, Graph, Manifest, Memory, Model, drafting
from fdcn.errors import FdcnError
from fdcn.export import checkpoint, models, settings, weights
from fdcn.export.lock import changing
from fdcn.export.models import decoders
from fdcn.export.models.base import GraphSource, ModelSource
from fdcn.export.passes.embed_operator import embed_operator
from fdcn.export.passes.stamp import stamp
from fdcn.export.trace import trace
from fdcn.export.write import write
from fdcn.plugins import spec
from fdcn.sizes import format_size, latent_size

Report = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of an export; None leaves a setting to the checkpoint. Sizes are (width, height) in pixels."""

    size: tuple[int, int] | None = None
    weights: checkpoint.Weights = "ema"
    vae: Path | None = None
    train_size: tuple[int, int] | None = None
    mixed_aspect: bool | None = None
    class_names: str | None = None


def export(
    path: str | Path, bundle: str | Path, options: Options | None = None, report: Report = lambda _: None
) -> Bundle:
    """Export a checkpoint into a bundle, replacing the one that is there; `report` is told each step in a line.

    Raises FdcnError for a bad checkpoint, a setting that nothing supplies, or a folder that cannot be written.
    """
    options = options or Options()
    bundle = Path(bundle)
    loaded = checkpoint.load(path, options.weights)
    model = models.read(loaded.tensors, str(path))
    weights_sha256 = digest(loaded.tensors)
    previous = _previous(bundle, weights_sha256)
    known = settings.resolve(
        model,
        loaded.metadata,
        previous,
        options.train_size,
        options.mixed_aspect,
        options.class_names,
    )
    report(f"{model.family}: {_summary(model)}, trained at {format_size(known.train_size)}")
    decoder = decoders.choose(model.channels, options.vae)
    latent = latent_size(options.size, model.patch, decoder.factor) if options.size else None
    sources = [*model.graphs(latent), *([decoder.source(latent)] if decoder.source else [])]
    identity = {"family": model.family, "weights_sha256": weights_sha256}
    # It is of the weights, whatever the sizes that the graphs take.
    calibration = previous.manifest.calibration if previous else None
    with changing(bundle), drafting(bundle, "graphs") as draft:
        graphs = {}
        while sources:
            source = sources.pop(0)
            graphs[source.name] = export_graph(source, draft, identity)
            report(f"exported {source.name}")
        return draft.commit(
            Manifest(
                format=FORMAT,
                fdcn=__version__,
                model=Model(
                    family=model.family,
                    architecture=model.architecture,
                    blocks=model.blocks,
                    channels=model.channels,
                    classes=model.classes,
                    patch=model.patch,
                    parameters=model.parameters,
                    weights=options.weights,
                    weights_sha256=weights_sha256,
                ),
                # The paper's Table 9: the rule hurts a model that has seen mixed aspect ratios.
                sampling=dataclasses.replace(model.sampling, s_max_adjust=not known.mixed_aspect),
                memory=Memory(model.token_bytes, decoder.pixel_bytes, decoder.pair_bytes),
                operator=f"{spec.DOMAIN}::{spec.NAME}-{spec.VERSION}",
                train_size=list(known.train_size),
                mixed_aspect=known.mixed_aspect,
                fixed_size=list(options.size) if options.size else None,
                pixel_factor=decoder.factor,
                class_names=known.class_names,
                graphs=graphs,
                engines=[],
                files=previous.manifest.files if previous else {},
                calibration=calibration,
            )
        )


def export_graph(source: GraphSource, draft: Draft, identity: Mapping[str, str]) -> Graph:
    """Trace one graph into a draft; `identity` is written into the file."""
    module, example = source.build()
    model = trace(module, example, source.signature)
    embed_operator(model)
    stamp(model, source.name, __version__, {**identity, **weights.shared(model, module)})
    data = write(model, draft.path, source.name)
    # A large module must be gone before the next one is built; torch's tracer leaves it in reference cycles, and
    # onnxscript's rules, which live as long as the process, keep the last graph that they have seen.
    for value in model.graph.initializers.values():
        value.const_value = None
    del module, model
    gc.collect()
    return Graph(file=draft.inside(f"{source.name}.onnx"), data=[draft.inside(name) for name in data])


def _previous(bundle: Path, weights_sha256: str) -> Bundle | None:
    """A readable bundle of the same weights that is already there: what it knows need not be said again."""
    try:
        previous = Bundle.open(bundle)
    except FdcnError:
        return None
    return previous if previous.manifest.model.weights_sha256 == weights_sha256 else None


def digest(tensors: Mapping[str, Tensor]) -> str:
    """sha256 of names and values, which is a checkpoint's identity in every file made from it."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _summary(model: ModelSource) -> str:
    millions = model.parameters / 1e6
    return f"{millions:.1f} M parameters, {model.blocks} blocks, {model.channels} channels, {model.classes} classes"
