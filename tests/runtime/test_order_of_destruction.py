"""TensorRT's objects and the operator's plugin, given up in any order, in processes that must end cleanly.

TensorRT-RTX parses a plugin's node with no GPU; engines and contexts need one, and are checked by `make gpu`.
"""

import os
import subprocess
import sys

import onnx
import pytest
from onnx import TensorProto, helper

from fdcn.plugins import spec

pytest.importorskip("tensorrt_rtx_bindings", reason="the order of destruction was not tested: TensorRT-RTX is missing")

SCRIPT = """
import gc, sys
from fdcn.plugins import flavours, tensorrt_plugin
from fdcn.runtime.backends.trt_graph import Log

order, kind, library = sys.argv[1:]
flavour = flavours.load("tensorrt-rtx")
trt = flavour.module
made = {"plugin": tensorrt_plugin.register(flavour, kind, library or None), "log": Log(trt)}
made["runtime"] = trt.Runtime(made["log"].logger)
made["builder"] = flavours.builder(flavour, made["log"].logger)
made["network"] = made["builder"].create_network(flavours.network_flags(flavour))
made["parser"] = trt.OnnxParser(made["network"], made["log"].logger)
assert made["parser"].parse(sys.stdin.buffer.read()), made["log"].why()
assert made["network"].get_layer(0).type == trt.LayerType.PLUGIN_V3
if order == "modules first":
    for name in [name for name in sys.modules if name.startswith(("fdcn", "tensorrt"))]:
        del sys.modules[name]
elif order != "at exit":
    for name in list(made)[:: -1 if order == "newest first" else 1]:
        del made[name]
        gc.collect()
print("the end")
"""
ORDERS = ("at exit", "oldest first", "newest first", "modules first")


@pytest.fixture(scope="module")
def node() -> bytes:
    """A graph that is one MultiScaleDCN."""
    groups, channels, taps = 2, 8, 9
    shapes = {
        "projection": [1, 4, 4, spec.projection_width(groups, channels, taps)],
        "prior": [taps, 2],
        "s_max": [1, 2],
    }
    made = helper.make_node(
        spec.NAME, list(shapes), ["out"], domain=spec.DOMAIN, groups=groups, taps=taps, **spec.PLUGIN_ATTRIBUTES
    )
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    output = helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 4, 4, groups * channels])
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid(spec.DOMAIN, spec.VERSION)]
    model: onnx.ModelProto = helper.make_model(
        helper.make_graph([made], "node", inputs, [output]), opset_imports=opsets, ir_version=10
    )
    return model.SerializeToString()


@pytest.fixture(scope="module", params=["python", "library"])
def plugin(request, tmp_path_factory) -> tuple[str, str]:
    """A kind of plugin and its library, built in a cache of its own."""
    if request.param == "python":
        return "python", ""
    command = [sys.executable, "-m", "fdcn.plugins.libraries", "tensorrt"]
    cache = str(tmp_path_factory.mktemp("cache"))
    done = subprocess.run(command, env=os.environ | {"FDCN_CACHE": cache}, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"the order of destruction was not tested with the library: {done.stderr}")
    return "library", done.stdout.strip()


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_ends_cleanly(node, plugin, order):
    command = [sys.executable, "-c", SCRIPT, order, *plugin]
    done = subprocess.run(command, input=node, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.splitlines()[-1] == b"the end"


REFUSED = """
import sys
from pathlib import Path
from fdcn.errors import FdcnError
from fdcn.plugins import flavours
from fdcn.runtime.backends.trt_graph import Log, TrtGraph

trt = flavours.load("tensorrt-rtx").module
log = Log(trt)
try:
    TrtGraph("denoiser", Path(sys.argv[1]), trt, trt.Runtime(log.logger), log, None)
except FdcnError as error:
    print(error)
"""


@pytest.mark.parametrize("content", [b"", b"no engine", bytes(4096)])
def test_what_is_no_engine_is_refused_with_the_reason_and_a_clean_exit(tmp_path, content):
    (tmp_path / "denoiser.engine").write_bytes(content)
    command = [sys.executable, "-c", REFUSED, str(tmp_path / "denoiser.engine")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert f"cannot load {tmp_path}/denoiser.engine: " in done.stdout
    assert "gave no reason" not in done.stdout
