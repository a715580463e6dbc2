"""Asking the driver for a GPU, where there is none, and where it does not work."""

import pytest

from fdcn import gpu
from fdcn.errors import FdcnError


class Driver:
    """A driver whose cuInit gives a status."""

    def __init__(self, status, devices=1):
        self.status, self.devices = status, devices

    def cuInit(self, flags):
        return self.status

    def cuGetErrorString(self, status, text):
        text._obj.value = b"the reason"
        return 0

    def cuDeviceGetCount(self, count):
        count._obj.value = self.devices
        return 0

    def cuDriverGetVersion(self, version):
        version._obj.value = 12060
        return 0


@pytest.mark.parametrize("status", gpu.NO_DEVICE)
def test_a_driver_without_a_device_is_no_gpu(monkeypatch, status):
    monkeypatch.setattr(gpu.ctypes, "CDLL", lambda name: Driver(status))
    assert gpu.first() is None
    with pytest.raises(gpu.NoGpu, match=rf"cuInit: the reason \({status}\)"):
        gpu.devices()


def test_no_driver_and_no_device_are_no_gpu(monkeypatch):
    monkeypatch.setattr(gpu.ctypes, "CDLL", lambda name: Driver(0, devices=0))
    assert gpu.first() is None

    def missing(name):
        raise OSError("cannot open shared object file")

    monkeypatch.setattr(gpu.ctypes, "CDLL", missing)
    assert gpu.first() is None


def test_a_driver_that_fails_is_an_error_that_says_so(monkeypatch):
    monkeypatch.setattr(gpu.ctypes, "CDLL", lambda name: Driver(999))
    with pytest.raises(FdcnError, match=r"driver does not work \(cuInit: the reason \(999\)\)"):
        gpu.first()


TWO = [gpu.Gpu(name, "sm_90", 1, "13.0", None, index) for index, name in enumerate(("NVIDIA H200", "NVIDIA A10"))]


def test_a_device_by_its_number(monkeypatch):
    monkeypatch.setattr(gpu, "devices", lambda: TWO)
    assert [gpu.numbered(index) for index in (None, 0, 1)] == [TWO[0], *TWO]
    with pytest.raises(FdcnError, match=r"no GPU 2; there are 0: NVIDIA H200, 1: NVIDIA A10 \(CUDA_VISIBLE_DEVICES"):
        gpu.numbered(2)
    with pytest.raises(FdcnError, match="no GPU -1"):
        gpu.numbered(-1)


def test_a_number_where_there_is_no_device(monkeypatch):
    monkeypatch.setattr(gpu, "first", lambda: None)
    assert gpu.numbered(None) is None
    with pytest.raises(FdcnError, match="no GPU 0: this machine has no NVIDIA GPU"):
        gpu.numbered(0)
