"""`fdcn doctor` on this machine, and on machines that lack parts or have broken ones."""

import json
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from fdcn import doctor

RUN = [sys.executable, "-m", "fdcn.cli", "doctor"]


def part(name: str) -> doctor.Part:
    """One part as it is found now."""
    return next(part for part in doctor.examine() if part.name == name)


def test_finds_what_is_installed() -> None:
    assert part("NumPy").found == np.__version__
    found = part("ONNX Runtime").found
    assert found is not None
    assert found.startswith(onnxruntime.__version__)
    assert "CPU" in found


def test_every_part_says_what_it_gives_and_how_to_get_it() -> None:
    parts = doctor.examine()
    assert all(part.group in doctor.GROUPS and part.gives and part.install for part in parts)
    assert len({part.name for part in parts}) == len(parts)
    assert {part.name for part in parts} >= set(doctor.TENSORRT)


def test_does_not_import_torch() -> None:
    code = "import sys; from fdcn import doctor; doctor.examine(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_missing_requirement_is_not_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.healthy(doctor.examine())
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # import raises ModuleNotFoundError
    parts = doctor.examine()
    assert not doctor.healthy(parts)
    text = doctor.report(parts)
    assert "missing" in text
    assert "pip install fdcn" in text


def test_a_missing_option_is_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    parts = doctor.examine()
    assert doctor.healthy(parts)
    assert not doctor.abilities(parts)["export"]
    assert "pip install 'fdcn[export]'" in doctor.report(parts)


def test_what_serving_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastapi", None)
    parts = doctor.examine()
    assert doctor.healthy(parts)
    assert not doctor.abilities(parts)["serve"]
    assert "pip install 'fdcn[serve]'" in doctor.report(parts)


def test_a_library_that_does_not_load_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> list[str]:
        raise ImportError("DLL load failed:\nthe specified module could not be found")

    broken = types.ModuleType("onnxruntime")
    broken.get_available_providers = fail  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "onnxruntime", broken)
    found = part("ONNX Runtime")
    assert found.found is None
    assert found.install.startswith("it does not load (DLL load failed: the specified module could not be found)")


def test_without_a_driver_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(doctor.gpu.ctypes, "CDLL", missing)
    gpu = part("NVIDIA GPU")
    assert gpu.found is None
    assert gpu.install.startswith("no driver found: ")
    assert not doctor.abilities(doctor.examine())["gpu"]


class Driver:
    """A CUDA driver and NVML with one device, or one that does not start."""

    def __init__(self, status: int = 0) -> None:
        self.status = status

    def cuInit(self, flags: int) -> int:
        return self.status

    def cuGetErrorString(self, status: int, text: object) -> int:
        text._obj.value = b"no CUDA-capable device is detected"  # type: ignore[attr-defined]
        return 0

    def cuDeviceGetCount(self, count: object) -> int:
        count._obj.value = 1  # type: ignore[attr-defined]
        return 0

    def cuDriverGetVersion(self, version: object) -> int:
        version._obj.value = 13010  # type: ignore[attr-defined]
        return 0

    def cuDeviceGet(self, device: object, index: int) -> int:
        return 0

    def cuDeviceGetName(self, name: object, length: int, device: object) -> int:
        name.value = b"NVIDIA H200"  # type: ignore[attr-defined]
        return 0

    def cuDeviceTotalMem_v2(self, memory: object, device: object) -> int:
        memory._obj.value = 139 * 2**30  # type: ignore[attr-defined]
        return 0

    def cuDeviceGetAttribute(self, value: object, attribute: int, device: object) -> int:
        value._obj.value = {75: 9, 76: 0}[attribute]  # type: ignore[attr-defined]
        return 0

    def nvmlInit_v2(self) -> int:
        return self.status

    def nvmlSystemGetDriverVersion(self, version: object, length: int) -> int:
        version.value = b"580.65.06"  # type: ignore[attr-defined]
        return 0

    def nvmlShutdown(self) -> int:
        return 0


def test_a_gpu_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.gpu.ctypes, "CDLL", lambda name: Driver())
    assert part("NVIDIA GPU").found == "NVIDIA H200, sm_90, 139 GiB, CUDA 13.1; driver 580.65.06"


def test_a_driver_without_a_device_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.gpu.ctypes, "CDLL", lambda name: Driver(status=100))
    gpu = part("NVIDIA GPU")
    assert gpu.found is None
    assert gpu.install.startswith("cuInit: no CUDA-capable device is detected (100): ")


@pytest.mark.parametrize(
    ("header", "version"),
    [
        (
            "#define NV_TENSORRT_MAJOR 10 //!< major\n#define NV_TENSORRT_MINOR 6\n#define NV_TENSORRT_PATCH 0\n",
            "10.6.0",
        ),
        (
            "#define TRT_MAJOR_ENTERPRISE 11\n#define TRT_MINOR_ENTERPRISE 4\n#define TRT_PATCH_ENTERPRISE 0\n"
            "#define NV_TENSORRT_MAJOR TRT_MAJOR_ENTERPRISE\n#define NV_TENSORRT_LWS_MAJOR 0\n",
            "11.4.0",
        ),
    ],
)
def test_tensorrt_root_gives_a_version(
    header: str, version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "NvInferVersion.h").write_text(header)
    monkeypatch.setenv("TENSORRT_ROOT", str(tmp_path))
    assert part("TensorRT headers").found == f"{version} in {tmp_path}"


def test_a_wrong_tensorrt_root_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENSORRT_ROOT", str(tmp_path))
    assert f"TENSORRT_ROOT is {tmp_path}" in part("TensorRT headers").install


def test_the_command_speaks_json() -> None:
    done = subprocess.run([*RUN, "--json"], capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert told["healthy"] is told["can"]["run"] is True
    assert set(told["can"]) == set(doctor.GROUPS)
    assert {"name", "group", "found", "gives", "install", "required"} == set(told["parts"][0])


def test_the_command_prints_no_colours_into_a_pipe() -> None:
    done = subprocess.run(RUN, capture_output=True, text=True, check=True)
    assert "\x1b" not in done.stdout
    assert "Pictures on ONNX Runtime: ready" in done.stdout


def test_the_status_is_1_where_pictures_cannot_be_made() -> None:
    code = "import sys; sys.modules['onnxruntime'] = None; sys.argv = ['fdcn', 'doctor']\n"
    code += "from fdcn.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "not on this machine" in done.stdout
