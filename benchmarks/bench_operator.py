"""MultiScaleDCN alone on this CPU: the native operator against the file's function, and both against PyTorch eager.

The whole call through ONNX Runtime, with the same threads and inputs, in turns. Results are checked before timing.
"""

import argparse
import collections
import time

import machine
import numpy as np
import onnx
import onnxruntime as ort
import torch
from machine import samples, summary
from onnx import TensorProto, helper

from fdcn.plugins import function, spec
from fdcn.plugins.torch_op import multi_scale_dcn_eager
from fdcn.runtime.backends.onnxrt import has_native_operator, session_options

TAPS = 9
PAUSE, CALLS = 0.25, 5
"""Seconds between contenders, and how often each is called in its turn, before and while it is timed."""
# Groups, channels, and tokens a side; two images, as in a guided pair.
LAYOUTS = {
    "S/2 256 px": (6, 64, 16),
    "S/2 512 px": (6, 64, 32),
    "XL/2 256 px": (16, 72, 16),
    "XL/2 512 px": (16, 72, 32),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=6, help="turns of each (default: 6)")
    repeats = parser.parse_args().repeats
    if not has_native_operator():
        parser.error("the native operator has not been built: make ops")
    layouts = {name: measure(*layout, repeats) for name, layout in LAYOUTS.items()}
    result = machine.describe(["onnxruntime", "torch", "numpy"]) | {"layouts": layouts}
    for name, entry in layouts.items():
        print(f"{name:12} native {entry['native_over_function']:.1f} times as fast as the function")
    print(f"wrote {machine.write('operator', result)}")


def measure(groups: int, channels: int, side: int, repeats: int) -> dict[str, object]:
    """All three at one layout."""
    rng = np.random.default_rng(0)
    feeds = {
        "projection": rng.standard_normal((2, side, side, groups * (channels + 4 * TAPS)), np.float32),
        "prior": np.stack(np.divmod(np.arange(TAPS), 3)[::-1], -1).astype(np.float32) - 1,
        "s_max": np.full((2, 2), 6, np.float32),
    }
    tensors = [torch.from_numpy(feeds[name]) for name in spec.INPUTS]
    native, portable = (session(groups, native) for native in (True, False))
    contenders = {
        "native": lambda: native.run(None, feeds)[0],
        "function": lambda: portable.run(None, feeds)[0],
        "torch_eager": lambda: multi_scale_dcn_eager(*tensors, groups, TAPS).numpy(),
    }
    want = contenders["torch_eager"]()
    for name, run in contenders.items():
        worst = np.abs(run() - want).max()
        assert worst < 1e-4 * np.abs(want).max(), f"{name} differs from PyTorch by {worst}"
    taken: dict[str, list[float]] = collections.defaultdict(list)
    for _ in range(repeats):
        for name, run in contenders.items():
            # The threads of the one before spin for a while before they sleep.
            time.sleep(PAUSE)
            taken[name] += samples(run, CALLS, warmup=CALLS)
    seconds = {name: summary(t) for name, t in taken.items()}
    return {
        "seconds": seconds,
        "native_over_function": seconds["function"]["median"] / seconds["native"]["median"],
    }


def session(groups: int, native: bool) -> ort.InferenceSession:
    """One node of the operator, with the function where it is not to run natively."""
    value = helper.make_tensor_value_info
    attributes = {"groups": groups, "taps": TAPS, **spec.PLUGIN_ATTRIBUTES}
    graph = helper.make_graph(
        [helper.make_node(spec.NAME, spec.INPUTS, [spec.OUTPUT], domain=spec.DOMAIN, **attributes)],
        "operator",
        [
            value("projection", TensorProto.FLOAT, ["N", "H", "W", "width"]),
            value("prior", TensorProto.FLOAT, [TAPS, 2]),
            value("s_max", TensorProto.FLOAT, ["N", 2]),
        ],
        [value(spec.OUTPUT, TensorProto.FLOAT, ["N", "H", "W", "values"])],
    )
    opsets = [helper.make_opsetid("", function.OPSET), helper.make_opsetid(spec.DOMAIN, spec.VERSION)]
    body: list[onnx.FunctionProto] = [] if native else [function.function(groups, TAPS)]
    model = helper.make_model(graph, functions=body, opset_imports=opsets, ir_version=10)
    return ort.InferenceSession(model.SerializeToString(), session_options(native), providers=["CPUExecutionProvider"])


if __name__ == "__main__":
    main()
