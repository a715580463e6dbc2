"""A bundle whose engine computes something else, and whose manifest knows of nothing."""

import dataclasses
from pathlib import Path

import onnx_ir as ir

from fdcn.bundle import MANIFEST, Bundle, File, sha256

WEIGHT = "blocks.5.out.weight"


def tamper(bundle: Bundle) -> None:
    """Scale one weight of an engine's denoiser, and let the manifest have the new hash."""
    (engine,) = bundle.manifest.engines
    graph = engine.graphs["denoiser"]
    path = bundle.path / graph.file
    model = ir.load(path)
    weight = model.graph.initializers[WEIGHT]
    weight.const_value = ir.tensor(weight.const_value.numpy() * 1.05, name=WEIGHT)
    other = path.with_name("other")
    other.mkdir()
    ir.save(model, other / path.name, external_data=Path(graph.data[0]).name)
    files = dict(bundle.manifest.files)
    for file in (graph.file, *graph.data):
        (other / Path(file).name).replace(bundle.path / file)
        files[file] = File((bundle.path / file).stat().st_size, sha256(bundle.path / file))
    other.rmdir()
    manifest = dataclasses.replace(bundle.manifest, files=files)
    (bundle.path / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
