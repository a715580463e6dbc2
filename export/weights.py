"""The weights of an exported graph: which initialiser is which parameter, and new values for them without a trace.

Every parameter of a traced module is an initialiser of the same name, but for small ones that were equal: the exporter
keeps one of those. Which one stands for which others is noted in the file, because they may differ in new weights.
"""

import json

import onnx_ir as ir
import torch
from torch import Tensor, nn

_SHARED = "shared_weights"


class Changed(Exception):
    """The new weights do not fit the graph that is there: it must be traced anew."""


def shared(model: ir.Model, module: nn.Module) -> dict[str, str]:
    """Metadata for `stamp`: parameters that the graph has not, each with the equal one that stands for it."""
    state, there = module.state_dict(), model.graph.initializers
    result = {}
    for name, value in state.items():
        if name not in there:
            twin = next((n for n in there if n in state and _equal(value, state[n])), None)
            if twin is not None:  # a VAE's encoder is in no graph
                result[name] = twin
    return {_SHARED: json.dumps(result)} if result else {}


def replace(model: ir.Model, module: nn.Module) -> dict[str, str]:
    """Give a graph's initialisers a module's values, which stay in its memory until the graph is saved.

    Returns the metadata that `shared` gave. Raises Changed where shapes differ, or parameters that were one.
    """
    state, there = module.state_dict(), model.graph.initializers
    note = model.metadata_props.get(f"fdcn.{_SHARED}", "{}")
    twins: dict[str, str] = json.loads(note)
    for name, value in state.items():
        kept = there.get(twins.get(name, name))
        if kept is None or kept.shape is None or list(kept.shape) != list(value.shape):
            raise Changed(f"the graph has no {name} of {list(value.shape)}")
        if name in twins and not _equal(value, state[twins[name]]):
            raise Changed(f"{name} and {twins[name]} were equal")
        if name not in twins:
            kept.const_value = ir.Tensor(value.detach().contiguous().numpy(), name=name)
    return {_SHARED: note} if twins else {}


def _equal(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.equal(a, b)
