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
