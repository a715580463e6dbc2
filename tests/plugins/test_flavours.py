"""TensorRT's flavours: what is found, what is refused, and RTX's library under the name that its parser looks for."""

import os
import subprocess
import sys
import types
from importlib import util
from pathlib import Path

import pytest

from fdcn.errors import FdcnError
from fdcn.plugins import flavours
from fdcn.plugins.flavours import Flavour

CASES = Path(__file__).with_name("plugin_cases.py")


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """installed(source) puts a package `tensorrt` with that source in the place of any other."""

    def install(source):
        (tmp_path / "tensorrt.py").write_text(source)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "tensorrt", raising=False)

    yield install
    sys.modules.pop("tensorrt", None)


load = flavours.load.__wrapped__


def test_rtx_loads(rtx):
    assert rtx in flavours.available()
    assert rtx.name == "tensorrt-rtx"
    assert rtx.version == rtx.module.__version__
    assert rtx.cuda in ("12", "13")
    assert str(rtx) == f"TensorRT-RTX {rtx.version}"
    assert "module" not in repr(rtx)


def test_full_tensorrt_loads(installed):
    installed("__version__ = '10.6.0'")
    found = load("tensorrt")
    assert (found.name, found.version, str(found)) == ("tensorrt", "10.6.0", "TensorRT 10.6.0")
    assert found.module is sys.modules["tensorrt"]


def test_without_tensorrt_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(flavours.util, "find_spec", lambda name: None)
    for name, install in (("tensorrt", "pip install tensorrt"), ("tensorrt-rtx", r"pip install 'fdcn\[rtx\]'")):
        with pytest.raises(FdcnError, match=f"is not installed: {install}"):
            load(name)


@pytest.mark.parametrize("version", ["8.6.1", "10.5.0"])
def test_an_old_tensorrt_is_refused(installed, version):
    installed(f"__version__ = {version!r}")
    with pytest.raises(FdcnError, match=rf"TensorRT {version} is too old, 10\.6 is needed: pip install --upgrade"):
        load("tensorrt")


@pytest.mark.parametrize("error", ["ImportError", "OSError"])
def test_a_tensorrt_without_its_libraries_is_refused(installed, error):
    installed(f"raise {error}('libnvinfer.so.10: cannot open shared object file')")
    with pytest.raises(FdcnError, match=r"does not load \(libnvinfer\.so\.10: .*LD_LIBRARY_PATH"):
        load("tensorrt")


def test_full_tensorrt_has_no_builder_without_a_gpu(monkeypatch):
    """The real one would end the process."""
    monkeypatch.setattr(flavours.gpu, "first", lambda: None)
    with pytest.raises(FdcnError, match=r"TensorRT 10\.6\.0 builds on a machine with an NVIDIA GPU"):
        flavours.builder(Flavour("tensorrt", "10.6.0", "12", None), None)


def test_a_builder_that_does_not_start_is_an_error():
    def builder(logger):
        raise TypeError("factory function returned nullptr")

    module = types.SimpleNamespace(Builder=builder)
    with pytest.raises(FdcnError, match=r"does not start; its driver may be older than CUDA 13: fdcn doctor"):
        flavours.builder(Flavour("tensorrt-rtx", "1.7", "13", module), None)


def test_networks_are_strongly_typed(rtx):
    assert flavours.network_flags(rtx) == 1
    enum = types.SimpleNamespace
    ten = Flavour("tensorrt", "10.6", "12", enum(NetworkDefinitionCreationFlag=enum(STRONGLY_TYPED=1)))
    later = Flavour("tensorrt", "12.0", "14", enum(NetworkDefinitionCreationFlag=enum()))
    assert (flavours.network_flags(ten), flavours.network_flags(later)) == (2, 0)


def test_architectures(rtx):
    flavours.check_compute(rtx, [])
    flavours.check_compute(rtx, ["sm_75", "sm_86"])
    for wrong in ("sm_90", "SM86", "86", ""):
        with pytest.raises(FdcnError, match=rf"cannot build for {wrong}; it knows sm_75, .*sm_120"):
            flavours.check_compute(rtx, ["sm_86", wrong])
    with pytest.raises(FdcnError, match="for sm_86 it takes TensorRT-RTX"):
        flavours.check_compute(Flavour("tensorrt", "10.6", "12", types.SimpleNamespace()), ["sm_86"])


PRELUDE = """
import os, sys
os.environ.pop("LD_LIBRARY_PATH", None)
sys.path[:0] = [{folder!r}, {cases!r}]
{before}
from fdcn.errors import FdcnError
from fdcn.plugins import flavours, tensorrt_plugin
try:
    flavour = flavours.load("tensorrt-rtx")
except FdcnError as error:
    print(error)
else:
    tensorrt_plugin.register(flavour, "python")
    import plugin_cases
    print(plugin_cases.run(flavour)["parsed"])
"""
IMPORTED = "import tensorrt_rtx_bindings"
READ_ONLY = """
import pathlib
def refuse(self, target):
    raise PermissionError(13, "Permission denied")
pathlib.Path.symlink_to = refuse
"""


@pytest.fixture
def parses(rtx, tmp_path):
    """parses(before, cache=…) → what a new process says that parses a plugin's node, and the folder of RTX's libraries.

    The folder is one of links to the real one's files, and has none by the library's bare name.
    """
    spec = util.find_spec("tensorrt_rtx_libs")
    if spec is None or sys.platform != "linux":
        pytest.skip("TensorRT-RTX comes from no wheel here")
    folder = tmp_path / "site" / "tensorrt_rtx_libs"
    folder.mkdir(parents=True)
    for file in Path(spec.origin).parent.iterdir():
        if file.is_file() and file.name != "libtensorrt_rtx.so":
            (folder / file.name).symlink_to(file)

    def run(before="", cache=tmp_path / "cache"):
        code = PRELUDE.format(folder=str(folder.parent), cases=str(CASES.parent), before=before)
        environment = os.environ | {"FDCN_CACHE": str(cache)}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip().splitlines()[-1], folder

    return run


def test_rtx_finds_its_library_by_links_in_the_cache(parses):
    for _ in range(2):
        said, folder = parses()
        assert said == "True"
        assert not (folder / "libtensorrt_rtx.so").exists()


def test_rtx_that_was_imported_before_gets_a_link(parses):
    said, folder = parses(IMPORTED)
    assert said == "True"
    assert (folder / "libtensorrt_rtx.so").is_symlink()


def test_without_a_cache_rtx_gets_a_link(parses, tmp_path):
    (tmp_path / "file").touch()
    said, folder = parses(cache=tmp_path / "file" / "cache")
    assert said == "True"
    assert (folder / "libtensorrt_rtx.so").is_symlink()


def test_where_no_link_can_be_made_the_message_says_what_to_do(parses, tmp_path):
    (tmp_path / "file").touch()
    said, folder = parses(IMPORTED + READ_ONLY, cache=tmp_path / "file" / "cache")
    assert said.endswith(f"ln -s libtensorrt_rtx.so.1 {folder}/libtensorrt_rtx.so")
    assert "Permission denied" in said
