"""The guide in a model's folder: how to launch Triton on it, and how to ask it."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

from fdcn.bundle import Bundle, replace_file
from fdcn.serve.tritonserver.plans import LIBRARY, plain_engine, plugin_of
from fdcn.serve.tritonserver.tensors import Tensor, inputs, outputs

FILE = "README.md"


def for_python(model: Path, bundle: Bundle, stream: bool) -> Path:
    """Write the guide of the Python backend's model. Returns its path."""
    names, classes = bundle.manifest.class_names, bundle.manifest.model.classes
    label = names[-1] if names else str(classes - 1)
    size = bundle.manifest.fixed_size or [64, 32]
    body = shlex.quote(json.dumps({"LABEL": label, "SEED": 7, "SIZE": size}, ensure_ascii=False))
    repository = shlex.quote(str(model.parent.resolve()))
    ask = "generate_stream" if stream else "generate"
    answer = (
        "Each evaluation of the network is a response with DONE and TOTAL, each preview one with PIXELS and FIRST\n"
        "too, and the last has the pictures. In gRPC that is `start_stream` and `async_stream_infer`."
        if stream
        else "Who asks for PIXELS alone, in gRPC, saves the encoding of PNG."
    )
    text = f"""# {model.name}

A FlowDCN in the Python backend of NVIDIA's Triton Inference Server, with its bundle in `1/bundle`.

Where Triton runs Python, install `fdcn` (for an NVIDIA GPU `fdcn[gpu]` and `tensorrt`, and build the bundle's engine
before: `fdcn build`). Triton 2.51 and older ones were built for NumPy 1, and end the model's process at its first
request where they find NumPy 2: install `numpy<2` beside it. Then:

    tritonserver --model-repository={repository} --model-control-mode=explicit --load-model={model.name}

In explicit mode a model whose process has died comes back by `POST /v2/repository/models/{model.name}/unload` and
`…/load`. Triton's health endpoints do not notice such a death: let the probe ask for a picture.

    curl localhost:8000/v2/models/{model.name}/{ask} -d {body}

{answer}
What is wrong with a request is said in its error, as INVALID_ARG; too little memory as UNAVAILABLE.

{_table("input", inputs(bundle.manifest, stream))}

{_table("output", outputs(bundle.manifest, stream))}

A row is a picture: the batch stands before these dimensions. All rows of a request have the same inputs but for LABEL,
SEED and NOISE, and what is left out has the bundle's default. The numbers of `config.pbtxt` may be edited.
"""
    return _written(model, text)


def for_plans(models: Sequence[Path], bundle: Bundle) -> Path:
    """Write the guide of the TensorRT engines into the folder of the first. Returns its path."""
    engine = plain_engine(bundle)
    target, repository = engine.target, shlex.quote(str(models[0].parent.resolve()))
    assert target is not None
    library = models[0].resolve() / LIBRARY if plugin_of(engine).file else None
    load = f" \\\n      --backend-config=tensorrt,plugins={library}" if library else ""
    needs = (
        f"The operator MultiScaleDCN is in `{LIBRARY}`, which Triton loads by the option above. It is code, like the "
        f"engines. A Triton without that option takes it by LD_PRELOAD={library}."
        if library
        else "The engines need no plugin library."
    )
    listed = "\n".join(f"- `{model.name}`" for model in models)
    text = f"""# TensorRT engines for Triton

{listed}

They run on {", ".join(target.compute)} with TensorRT {target.version} alone, in {target.precision}: take the container
whose TensorRT that is.

    tritonserver --model-repository={repository}{load}

{needs}

These are the network's parts, and the sampler is yours: the conditioner runs once ahead, the denoiser at each
evaluation, with each guided picture twice, and the decoder at the end. `docs/bundle.md` of fdcn has their tensors,
`docs/sampling.md` the steps. For pictures from a request, take `fdcn package --layout python`.
"""
    return _written(models[0], text)


def _table(title: str, tensors: Sequence[Tensor]) -> str:
    lines = [f"| {title} | type | of a row | |", "|---|---|---|---|"]
    for tensor in tensors:
        about = tensor.about if tensor.optional else f"{tensor.about}; needed"
        lines.append(f"| {tensor.name} | {tensor.type} | {list(tensor.dims)} | {about} |")
    return "\n".join(lines)


def _written(folder: Path, text: str) -> Path:
    path = folder / FILE
    replace_file(path, lambda file: file.write(text.encode()))
    return path
