"""What a machine does at its best."""

import os
import sys

import ml_dtypes
import numpy as np
import pytest
from apart import run_apart

from fdcn.bench import device_limits, limits, machine
from fdcn.errors import FdcnError
from fdcn.gpu import Gpu


def test_the_processor_s_limit_is_measured():
    found = limits.processor(sides=(64, 128), copied=1 << 20)
    assert (found.device, found.precision) == ("cpu", "float32")
    assert found.flop_per_second > 0
    assert found.bytes_per_second > 0
    assert "64, 128" in found.how


def test_the_processor_s_limit_in_integers():
    found = limits.processor("int8", sides=(64, 128), copied=1 << 20)
    assert (found.device, found.precision) == ("cpu", "int8")
    assert found.flop_per_second > 0
    assert "MatMulInteger" in found.how


def test_limited_threads_are_said(monkeypatch):
    for name in limits.CALM:
        monkeypatch.delenv(name, raising=False)
    assert limits.notes() == []
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    assert "OPENBLAS_NUM_THREADS" in limits.notes()[0]


def test_the_machine():
    found = machine.machine(Gpu("NVIDIA A10", "sm_86", 24 << 30, "13.0", None))
    assert found["gpu"]["compute"] == "sm_86"
    assert found["cores"] == os.cpu_count()
    assert machine.machine(None)["gpu"] is None
    assert {"python", "fdcn", "numpy", "onnxruntime"} <= machine.versions().keys()


@pytest.mark.skipif(sys.platform == "win32", reason="not known there")
def test_peak_memory_grows_with_what_is_held():
    # A process of its own: this one may have held more before.
    code = "import os; from fdcn.bench import memory; before = memory.peak_resident()\n"
    code += "held = bytearray(os.urandom(1 << 20)) * 200\nprint(memory.peak_resident() - before)"
    assert run_apart(code) > 100 << 20


@pytest.mark.parametrize("precision", ["float32", "float16", "bfloat16"])
def test_the_product_of_a_gpu_builds(rtx, precision):
    assert len(device_limits.product(rtx, precision, 256, ("sm_86",))) > 1000


@pytest.mark.parametrize("precision", ["int8", "fp8"])
def test_a_quantised_product_builds(rtx, precision):
    assert len(device_limits.product(rtx, precision, 256, ("sm_89",))) > 1000


def test_factors_in_e4m3(monkeypatch):
    monkeypatch.setattr(device_limits, "SIDE", 64)
    exact, stored = (device_limits._operand(precision).astype(np.float64) for precision in ("float32", "fp8"))
    found = stored.astype(np.uint8).view(ml_dtypes.float8_e4m3fn).astype(np.float64)
    cut = np.abs(exact) < 2.0**-6
    assert not found[cut].any()
    np.testing.assert_array_equal(np.sign(found[~cut]), np.sign(exact[~cut]))
    ratio = found[~cut] / exact[~cut]
    assert ((ratio > 8 / 9) & (ratio <= 1)).all()
    integers = device_limits._operand("int8")
    assert integers.dtype == np.int8
    assert integers.min() >= -127


def test_a_product_without_a_gpu_is_refused(rtx):
    with pytest.raises(FdcnError, match="sm_999"):
        device_limits.product(rtx, "float16", 256, ("sm_999",))


class Recorder:
    """A device that notes what is asked of it; its copies take what `milliseconds` says, one after the other."""

    stream = 7

    def __init__(self, milliseconds):
        self.left, self.held, self.events = list(milliseconds), [], 0

    def allocate(self, what, size):
        self.held.append(size)
        return len(self.held)

    def free(self, address):
        assert self.done, "work was pending"
        self.held.pop()

    def call(self, doing, function, *arguments):
        if function == "cudaEventCreate":
            self.events += 1
            return self.events
        assert (function, arguments) == ("cudaEventElapsedTime", (1, 2))
        assert self.done
        return self.left.pop(0)

    def copy(self, what, to, source, size, kind):
        assert (kind, self.held[to - 1], self.held[source - 1]) == ("DeviceToDevice", size, size)
        self.done = False

    def record(self, event, stream):
        assert stream == self.stream

    def wait(self, event, doing):
        self.done = True

    def free_event(self, event):
        self.events -= 1

    def synchronize(self, doing):
        self.done = True


def test_a_device_s_copy_is_the_fastest_of_those_that_count():
    first = [0.1] * device_limits.WARMUP
    device = Recorder([*first, 5.0, 2.0, *[3.0] * (device_limits.REPEATS - 2)])
    assert device_limits._copy_seconds(device) == pytest.approx(2e-3)
    assert (device.held, device.events, device.left) == ([], 0, [])
