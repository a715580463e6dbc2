"""config.pbtxt: what Triton is told of a model."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fdcn.bundle import Manifest
from fdcn.serve.settings import Settings
from fdcn.serve.tritonserver.tensors import Tensor, inputs, outputs
from fdcn.sizes import format_size, parse_size


@dataclasses.dataclass(frozen=True)
class Layout:
    """What the Python backend's model is to be, beside what the server grants."""

    instances: int = 1
    """Copies in memory: on each GPU, or on the CPU."""
    stream: bool = False
    """Whether a request is answered by several responses: progress and previews, then the pictures."""


def python_config(name: str, manifest: Manifest, settings: Settings, layout: Layout) -> str:
    """The text for the model that runs fdcn in Triton's Python backend."""
    kind = "KIND_CPU" if settings.backend == "onnxruntime" else "KIND_AUTO"
    blocks = [
        f"name: {json.dumps(name)}",
        'backend: "python"',
        f"max_batch_size: {settings.max_batch}",
        _tensors("input", inputs(manifest, layout.stream)),
        _tensors("output", outputs(manifest, layout.stream)),
        _batching(settings),
        f"instance_group [{{ count: {layout.instances} kind: {kind} }}]",
        _parameters(settings),
    ]
    if layout.stream:
        blocks.append("model_transaction_policy { decoupled: true }")
    return "\n".join(blocks) + "\n"


def plan_config(name: str) -> str:
    """The text for one TensorRT engine: Triton reads tensors and profiles from the engine itself."""
    return "\n".join([f"name: {json.dumps(name)}", 'backend: "tensorrt"', 'default_model_filename: "model.plan"', ""])


def _batching(settings: Settings) -> str:
    # A client may ask for less time than the deadline, and not for more.
    return f"""dynamic_batching {{
  max_queue_delay_microseconds: {round(settings.max_delay * 1e6)}
  default_queue_policy {{
    max_queue_size: {settings.max_queue}
    timeout_action: REJECT
    default_timeout_microseconds: {round(settings.deadline * 1e6)}
    allow_timeout_override: true
  }}
}}"""


def _tensors(field: str, tensors: Sequence[Tensor]) -> str:
    lines = []
    for tensor in tensors:
        dims = ", ".join(map(str, tensor.dims))
        optional = " optional: true" if field == "input" and tensor.optional else ""
        lines.append(f'  {{ name: "{tensor.name}" data_type: TYPE_{tensor.type} dims: [{dims}]{optional} }}')
    return f"{field} [\n" + ",\n".join(lines) + "\n]"


def _parameters(settings: Settings) -> str:
    """What the model reads of the settings, in `granting`."""
    values = {
        "backend": settings.backend,
        "max_size": format_size(settings.max_size),
        "max_steps": str(settings.max_steps),
        "allow_bundled_code": str(settings.allow_bundled_code).lower(),
    }
    lines = [f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}' for key, value in values.items()]
    return "\n".join(lines)


def granting(config: Mapping[str, Any], bundle: Path) -> Settings:
    """The settings of a model's configuration, as Triton gives it."""
    values = {name: value["string_value"] for name, value in config["parameters"].items()}
    return Settings(
        bundle=bundle,
        backend=values["backend"],
        max_size=parse_size(values["max_size"]),
        max_steps=int(values["max_steps"]),
        max_images=config["max_batch_size"],
        max_queue=config["max_batch_size"],  # what is handed over at once; Triton's own queue is before it
        allow_bundled_code=values["allow_bundled_code"] == "true",
    )
