"""MultiScaleDCN as a TensorRT plugin in Python, for machines that have no compiler: NVRTC compiles its kernel.

Each flavour has base classes of its own, so the classes are made for a flavour. What a method raises, TensorRT logs
and takes for a failure.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fdcn.plugins import gpu_launch, spec
from fdcn.plugins.flavours import Flavour


def creator(flavour: Flavour) -> Any:
    """A creator for the flavour's registry, which does not keep it alive."""
    trt = flavour.module
    bases = (trt.IPluginV3, trt.IPluginV3OneCore, trt.IPluginV3OneBuild, trt.IPluginV3OneRuntime)
    plugin = type("Plugin", (_Plugin, *bases), {"trt": trt})
    return type("Creator", (_Creator, trt.IPluginCreatorV3One), {"trt": trt, "plugin": plugin})()


class _Plugin:
    """One node: half of a class whose other half is TensorRT's."""

    trt: Any

    def __init__(self, groups: int, taps: int) -> None:
        for base in type(self).__bases__[1:]:
            base.__init__(self)  # type: ignore[misc]
        self.plugin_name, self.plugin_version, self.plugin_namespace = spec.NAME, str(spec.VERSION), spec.DOMAIN
        self.num_outputs = 1
        self.timing_cache_id = f"groups {groups}, taps {taps}"
        self.groups, self.taps = groups, taps
        self.launch: gpu_launch.Launch | None = None

    def get_capability_interface(self, kind: Any) -> Any:
        return self

    def clone(self) -> Any:
        return type(self)(self.groups, self.taps)

    def attach_to_context(self, context: Any) -> Any:
        return self.clone()

    def get_fields_to_serialize(self) -> Any:
        return _fields(self.trt, {"groups": [self.groups], "taps": [self.taps]})

    def get_output_data_types(self, inputs: Sequence[Any]) -> list[Any]:
        if len(inputs) != len(spec.INPUTS) or inputs[0] not in self._dtypes() or {*inputs[1:]} != {self.trt.float32}:
            raise ValueError(f"inputs are {inputs}, not one of {spec.DTYPES}, float32 and float32")
        return [inputs[0]]

    def get_output_shapes(self, inputs: Sequence[Any], shape_inputs: Sequence[Any], expressions: Any) -> list[Any]:
        check([_known(dims) for dims in inputs], self.groups, self.taps)
        taps = expressions.constant(self.groups * self.taps * len(spec.TAP_FIELDS))
        out = self.trt.DimsExprs(inputs[0])
        out[3] = expressions.operation(self.trt.DimensionOperation.SUB, inputs[0][3], taps)
        return [out]

    def supports_format_combination(self, position: int, tensors: Sequence[Any], inputs: int) -> bool:
        tensor = tensors[position].desc
        if tensor.format != self.trt.TensorFormat.LINEAR:
            return False
        if position == 0:
            return tensor.type in self._dtypes()
        return tensor.type == (tensors[0].desc.type if position == inputs else self.trt.float32)

    def configure_plugin(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        check([tuple(tensor.desc.dims) for tensor in inputs], self.groups, self.taps)

    def get_workspace_size(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
        return 0

    def get_valid_tactics(self) -> list[int]:
        return []

    def set_tactic(self, tactic: int) -> None:
        pass

    def on_shape_change(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        check([tuple(tensor.dims) for tensor in inputs], self.groups, self.taps)
        N, H, W, width = inputs[0].dims
        C = spec.value_width(width, self.groups, self.taps) // self.groups
        self.launch = gpu_launch.Launch(self._dtypes()[inputs[0].type], N, H, W, self.groups, C, self.taps)

    def enqueue(
        self,
        input_desc: Sequence[Any],
        output_desc: Sequence[Any],
        inputs: Sequence[int],
        outputs: Sequence[int],
        workspace: int,
        stream: int,
    ) -> None:
        assert self.launch is not None
        projection, prior, s_max = inputs
        self.launch(projection, prior, s_max, outputs[0], stream)

    def _dtypes(self) -> dict[Any, str]:
        return {getattr(self.trt, name): name for name in spec.DTYPES}


class _Creator:
    """Makes plugins from nodes and from serialised engines: half of a class, as `_Plugin`."""

    trt: Any
    plugin: type[_Plugin]

    def __init__(self) -> None:
        type(self).__bases__[1].__init__(self)  # type: ignore[misc]
        self.name, self.plugin_version, self.plugin_namespace = spec.NAME, str(spec.VERSION), spec.DOMAIN
        self.field_names = _fields(self.trt, {name: [] for name in spec.ATTRIBUTES})

    def create_plugin(self, name: str, fields: Any, phase: Any) -> Any:
        return self.plugin(*attributes({field.name: field.data for field in fields}))


def attributes(fields: dict[str, Any]) -> tuple[int, int]:
    """Groups and taps from a plugin's fields. Raises ValueError where one is missing or impossible."""
    values = []
    for name in spec.ATTRIBUTES:
        value = np.asarray(fields.get(name, ()))
        if value.size != 1 or value.dtype.kind != "i" or not 0 < value.item() < 2**31:
            raise ValueError(f"{spec.NAME} needs {name}, one positive integer, and got {value}")
        values.append(value.item())
    groups, taps = values
    if groups * taps * len(spec.TAP_FIELDS) >= 2**31:
        raise ValueError(f"{spec.NAME} cannot have {groups} groups of {taps} taps")
    return groups, taps


def check(shapes: Sequence[Sequence[int]], groups: int, taps: int) -> None:
    """Raise ValueError for shapes of projection, prior and s_max that are not the operator's; -1 is any size."""
    projection, prior, s_max = shapes
    if (len(projection), len(prior), len(s_max)) != (4, 2, 2):
        raise ValueError(f"projection, prior and s_max have shapes {shapes}, not 4, 2 and 2 axes")
    if projection[3] >= 0:
        spec.value_width(projection[3], groups, taps)
    for name, shape, wanted in (("prior", prior, (taps, 2)), ("s_max", s_max, (projection[0], 2))):
        if any(size >= 0 and want >= 0 and size != want for size, want in zip(shape, wanted, strict=True)):
            raise ValueError(f"{name} is {tuple(shape)}, not {wanted}")


def _known(dims: Any) -> list[int]:
    """Sizes while a network is built: -1 for those that are not known."""
    axes = [dims[i] for i in range(len(dims))]
    return [axis.get_constant_value() if axis.is_constant() else -1 for axis in axes]


def _fields(trt: Any, values: dict[str, list[int]]) -> Any:
    fields = [
        trt.PluginField(name, np.array(value, np.int32), trt.PluginFieldType.INT32) for name, value in values.items()
    ]
    return trt.PluginFieldCollection(fields)
