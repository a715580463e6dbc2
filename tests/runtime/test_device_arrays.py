"""Tensors through DLPack, against torch's own reading and writing of it."""

import ctypes
import gc
import types

import numpy as np
import pytest

from fdcn.errors import FdcnError
from fdcn.runtime.backends import device_arrays
from fdcn.runtime.backends.device_arrays import DeviceArray, borrowed

torch = pytest.importorskip("torch")


class Memory:
    """The host's memory in the place of a GPU's; `gone` when nobody has it."""

    def __init__(self, values, gone):
        self.values, self.gone = values, gone
        self.address = values.ctypes.data

    def __del__(self):
        self.gone.append(True)


@pytest.fixture
def on_cpu(monkeypatch):
    """The device kind of the CPU in the place of CUDA's, so that torch can read what is lent."""
    monkeypatch.setattr(device_arrays, "CUDA", 1)


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_what_is_lent_is_read_in_place_and_lives_as_long(on_cpu, dtype):
    gone = []
    values = np.arange(24, dtype=dtype).reshape(2, 3, 4)
    array = DeviceArray(Memory(values, gone), 0, (2, 3, 4), dtype)
    first, second = torch.from_dlpack(array), torch.utils.dlpack.from_dlpack(array.__dlpack__())
    np.testing.assert_array_equal(first.numpy(), values)
    values[1, 2, 3] = 99
    assert second[1, 2, 3] == 99
    assert array.__dlpack_device__() == (1, 0)
    del array, first
    gc.collect()
    assert not gone
    del second
    gc.collect()
    assert gone
    assert not device_arrays._lent


def test_what_nobody_takes_is_given_back(on_cpu):
    gone = []
    array = DeviceArray(Memory(np.zeros(4, np.float32), gone), 0, (4,), np.float32)
    capsule = array.__dlpack__()
    assert device_arrays._lent
    del capsule, array
    gc.collect()
    assert gone
    assert not device_arrays._lent


def test_a_copy_or_another_device_is_refused(on_cpu):
    array = DeviceArray(Memory(np.zeros(4, np.float32), []), 0, (4,), np.float32)
    for asked in ({"copy": True}, {"dl_device": (2, 0)}):
        with pytest.raises(BufferError, match=r"float32 \[4\] on GPU 0.* not copied"):
            array.__dlpack__(**asked)
    assert len(array) == 4


def test_what_is_borrowed_is_where_it_lies(on_cpu):
    tensor = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4)[1:]
    with borrowed("noise", Lender(tensor), (1, 3, 4), 0, 7) as address:
        read = np.ctypeslib.as_array((ctypes.c_float * 12).from_address(address))
        np.testing.assert_array_equal(read, np.arange(12, 24))


class Lender:
    """torch's tensor, asked for in the stream's order as one on a GPU would be."""

    def __init__(self, tensor):
        self.tensor, self.streams = tensor, []

    def __dlpack_device__(self):
        return self.tensor.__dlpack_device__()

    def __dlpack__(self, *, stream):
        self.streams.append(stream)
        return self.tensor.__dlpack__()


@pytest.mark.parametrize(
    ("tensor", "said"),
    [
        (torch.zeros(2, 3, dtype=torch.float64), r"the noise is float64 \[2, 3\]; wanted float32 \[2, 3\] on GPU 0"),
        (torch.zeros(2, 3, dtype=torch.bfloat16), r"the noise is bfloat16 \[2, 3\]; wanted"),
        (torch.zeros(3, 3), r"the noise is float32 \[3, 3\]; wanted float32 \[2, 3\]"),
        (torch.zeros(3, 2).T, r"the noise is float32 \[2, 3\] with strides \[1, 2\]; wanted .* contiguous"),
        (torch.zeros(6), r"the noise is float32 \[6\]; wanted"),
    ],
)
def test_what_cannot_be_borrowed_says_what_it_is(on_cpu, tensor, said):
    with pytest.raises(FdcnError, match=said), borrowed("noise", Lender(tensor), (2, 3), 0, 7):
        pass


@pytest.mark.parametrize(("where", "said"), [((1, 0), "the CPU"), ((2, 1), "GPU 1"), ((99, 0), "a device of kind 99")])
def test_another_device_is_named(where, said):
    thing = types.SimpleNamespace(__dlpack_device__=lambda: where)
    with pytest.raises(FdcnError, match=f"the noise is on {said}; wanted"), borrowed("noise", thing, (2,), 0, 7):
        pass
