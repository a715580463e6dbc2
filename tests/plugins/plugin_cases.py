"""Graphs of one MultiScaleDCN, parsed and built by TensorRT with one kind of plugin.

    python plugin_cases.py KIND [LIBRARY]

One process a kind, since a process has one plugin. Prints for each case, as JSON, what came of it.
"""

import json
import sys

from onnx import TensorProto, helper

from fdcn.errors import FdcnError
from fdcn.plugins import flavours, function, spec, tensorrt_plugin

CASES = {
    "float32": {},
    "float16": {"dtype": TensorProto.FLOAT16},
    "bfloat16": {"dtype": TensorProto.BFLOAT16},
    "K of 1, C of 72": {"groups": 3, "taps": 1, "width": 3 * 76},
    "two profiles": {"profiles": ((1, 2, 4), (4, 5, 8))},
    "two architectures": {"compute": ("sm_86", "sm_120")},
    "groups of 0": {"groups": 0},
    "groups missing": {"groups": None},
    "groups a text": {"groups": "two"},
    "groups a float": {"groups": 2.0},
    "groups a list": {"groups": [2, 3]},
    "too narrow": {"width": 72},
    "uneven": {"width": 87},
    "prior of 8": {"prior": [8, 2]},
    "prior float16": {"prior_dtype": TensorProto.FLOAT16},
    "s_max of 3": {"s_max": ["N", 3]},
    "int8": {"dtype": TensorProto.INT8},
    "another version": {"plugin_version": "2"},
    "another namespace": {"plugin_namespace": "other", "domain": "other"},
}


def model(
    dtype=TensorProto.FLOAT,
    width=88,
    prior=(9, 2),
    prior_dtype=TensorProto.FLOAT,
    s_max=("N", 2),
    domain=spec.DOMAIN,
    **attributes,
):
    """A graph with float32 edges around the operator in `dtype`."""
    attributes = {"groups": 2, "taps": 9, **spec.PLUGIN_ATTRIBUTES, **attributes}
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["projection"], ["low"], to=dtype),
            helper.make_node(
                spec.NAME,
                ["low", "prior", "s_max"],
                ["summed"],
                domain=domain,
                **{name: attribute for name, attribute in attributes.items() if attribute is not None},
            ),
            helper.make_node("Cast", ["summed"], [spec.OUTPUT], to=TensorProto.FLOAT),
        ],
        "operator",
        [
            value("projection", TensorProto.FLOAT, ["N", "H", "W", width]),
            value("prior", prior_dtype, prior),
            value("s_max", TensorProto.FLOAT, s_max),
        ],
        [value(spec.OUTPUT, TensorProto.FLOAT, None)],
    )
    opsets = [helper.make_opsetid("", function.OPSET), helper.make_opsetid(domain, spec.VERSION)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()


def run(flavour, profiles=((1, 2, 8),), compute=("sm_86",), taps=9, **change):
    """Parse and build one graph; a dictionary of what came of it."""
    trt, said = flavour.module, []

    class Logger(trt.ILogger):
        def __init__(self):
            trt.ILogger.__init__(self)

        def log(self, severity, message):
            if severity <= trt.ILogger.Severity.ERROR:
                said.append(message)

    logger = Logger()
    builder = flavours.builder(flavour, logger)
    network = builder.create_network(flavours.network_flags(flavour))
    parser = trt.OnnxParser(network, logger)
    change.setdefault("prior", (taps, 2))
    if not parser.parse(model(taps=taps, **change)):
        return {"parsed": False, "said": said}
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    (plugin,) = [layer for layer in layers if layer.type == trt.LayerType.PLUGIN_V3]
    tensors = [plugin.get_input(i) for i in range(plugin.num_inputs)] + [plugin.get_output(0)]
    config = builder.create_builder_config()
    for sizes in profiles:
        profile = builder.create_optimization_profile()
        for i in range(network.num_inputs):
            shape = tuple(network.get_input(i).shape)
            if -1 in shape:
                bounds = [tuple(size if known < 0 else known for known in shape) for size in sizes]
                profile.set_shape(network.get_input(i).name, *bounds)
        config.add_optimization_profile(profile)
    flavours.set_compute(flavour, config, compute)
    engine = builder.build_serialized_network(network, config)
    return {
        "parsed": True,
        "types": [tensor.dtype.name for tensor in tensors],
        "shape": list(tensors[-1].shape),
        "engine": engine.nbytes if engine is not None else 0,
        "said": said,
    }


def main():
    flavour = flavours.load("tensorrt-rtx")
    kind, *library = sys.argv[1:]
    kept = tensorrt_plugin.register(flavour, kind, *library)
    registry = flavour.module.get_plugin_registry()
    creators = [creator.name for creator in registry.all_creators if creator.plugin_namespace == spec.DOMAIN]
    results = {name: run(flavour, **change) for name, change in CASES.items()}
    try:
        tensorrt_plugin.register(flavour, "aot")
        mixed = "allowed"
    except FdcnError as error:
        mixed = str(error)
    other = {"library": "python", "python": "library"}[kind]
    same = tensorrt_plugin.register(flavour, kind, *library) is tensorrt_plugin.register(flavour, other) is kept
    print(json.dumps({"creators": creators, "results": results, "mixed": mixed, "same": same}))


if __name__ == "__main__":
    main()
