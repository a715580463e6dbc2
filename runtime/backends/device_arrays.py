"""Tensors on the GPU that come from other libraries and go to them without a copy through the host: DLPack.

Structures are those of dlpack.h, version 0, which every library takes.
"""

import contextlib
import ctypes
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from fdcn.errors import FdcnError
from fdcn.messages import say
from fdcn.runtime.backends.device import Memory

CUDA = 2
"""kDLCUDA."""
_DEVICES = {1: "the CPU", 2: "GPU", 3: "pinned memory", 10: "AMD's GPU", 13: "managed memory"}
_KINDS = {"i": 0, "u": 1, "f": 2}
"""DLDataTypeCode by NumPy's kind."""
_NAME = b"dltensor"


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("dimensions", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class _Managed(ctypes.Structure):
    _fields_ = (("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p))


_Callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_new = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, _Callback)(
    ("PyCapsule_New", ctypes.pythonapi)
)
_is_named = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)(("PyCapsule_IsValid", ctypes.pythonapi))
_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)

_lent: dict[int, tuple[Any, ...]] = {}
"""What must stay for as long as somebody has a tensor of ours, by the address of its structure."""


def _give_back(managed: int) -> None:
    _lent.pop(managed, None)


def _drop_capsule(capsule: int) -> None:
    if _is_named(capsule, _NAME):  # nobody has taken the tensor
        _lent.pop(_pointer(capsule, _NAME), None)


_given_back, _capsule_gone = _Callback(_give_back), _Callback(_drop_capsule)


class DeviceArray:
    """A tensor on a GPU: `torch.from_dlpack(array)`, or the same of another library.

    All work on it is done. Its memory is kept until neither it nor what was taken from it is left.
    """

    def __init__(self, memory: Memory, ordinal: int, shape: tuple[int, ...], dtype: Any) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)
        self._memory, self._ordinal = memory, ordinal

    def __repr__(self) -> str:
        return f"<{self.dtype} {list(self.shape)} on GPU {self._ordinal}>"

    def __len__(self) -> int:
        return self.shape[0]

    def __dlpack_device__(self) -> tuple[int, int]:
        return CUDA, self._ordinal

    def __dlpack__(
        self,
        *,
        stream: int | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        if copy or dl_device not in (None, self.__dlpack_device__()):
            raise BufferError(f"{self!r} is lent where it is, not copied")
        shape = (ctypes.c_int64 * len(self.shape))(*self.shape)
        kind, bits = _KINDS[self.dtype.kind], 8 * self.dtype.itemsize
        tensor = _Tensor(self._memory.address, CUDA, self._ordinal, len(shape), kind, bits, 1, shape, None, 0)
        managed = _Managed(tensor, None, ctypes.cast(_given_back, ctypes.c_void_p))
        address = ctypes.addressof(managed)
        _lent[address] = managed, shape, self._memory
        return _new(address, _NAME, _capsule_gone)


@contextlib.contextmanager
def borrowed(name: str, thing: Any, shape: tuple[int, ...], ordinal: int, stream: int) -> Iterator[int]:
    """For the time of a block, the address of another library's float32 tensor; it is ready in the stream's order.

    Raises FdcnError, saying what `name` is instead, for another device, dtype, shape or order of elements.
    """
    wanted = say("array.wanted", shape=list(shape), device=ordinal)
    where = tuple(map(int, thing.__dlpack_device__()))
    if where != (CUDA, ordinal):
        place = f"{_DEVICES.get(where[0], f'a device of kind {where[0]}')}{f' {where[1]}' if where[0] == CUDA else ''}"
        raise FdcnError(say("array.elsewhere", name=name, place=place, wanted=wanted))
    capsule = thing.__dlpack__(stream=stream)  # which takes the tensor with it when it goes
    tensor = _Managed.from_address(_pointer(id(capsule), _NAME)).tensor
    found = tuple(tensor.shape[: tensor.dimensions])
    dtype = f"{'iuf?b'[tensor.code] if tensor.code < 5 else '?'}{tensor.bits // 8}"
    strides = tuple(tensor.strides[: tensor.dimensions]) if tensor.strides else None
    plain = [math.prod(found[i + 1 :]) for i in range(len(found))]
    same = strides is None or all(a == b or n == 1 for a, b, n in zip(strides, plain, found, strict=True))
    if (tensor.code, tensor.bits, tensor.lanes) != (_KINDS["f"], 32, 1) or found != shape or not same:
        order = "" if same else f" with strides {list(strides or ())}"
        given = f"{_spoken(dtype)} {list(found)}{order}"
        raise FdcnError(say("array.other", name=name, found=given, wanted=wanted))
    yield tensor.data + tensor.byte_offset
    del capsule


def _spoken(dtype: str) -> str:
    try:
        return np.dtype(dtype).name
    except TypeError:
        return "bfloat16" if dtype == "b2" else "of an unknown type"
