"""Fetch the full TensorRT 10.6 for Python, through package managers alone: what `make test-large` loads plugins into.

    python scripts/fetch_tensorrt.py build/deps/tensorrt-10.6

FOLDER/lib has the libraries (Maven's org.bytedeco:tensorrt), FOLDER/tensorrt_bindings Python's bindings (pip), and
FOLDER/tensorrt the package of that name: PYTHONPATH=FOLDER python -c "import tensorrt". The builder's own resources
stay out, so that it registers plugins and parses graphs but builds nothing. Who has NVIDIA's package needs none of it:
TENSORRT_ROOT names its folder.
"""

import shutil
import zipfile
from pathlib import Path

from fetching import fetch_once, folder_argument, install, run

COORDINATES = ("org.bytedeco", "tensorrt", "10.6-1.5.11", "linux-x86_64-redist")
BINDINGS = "tensorrt-cu12-bindings==10.6.0"
LIBRARIES = ("libnvinfer.so", "libnvinfer_plugin.so", "libnvonnxparser.so")
PACKAGE = '''"""TensorRT's Python bindings over the libraries beside this package."""
import ctypes, pathlib, sys
_lib = pathlib.Path(__file__).resolve().parent.parent / "lib"
for _name in {libraries!r}:
    (_file,) = _lib.glob(_name + "*")
    ctypes.CDLL(str(_file), mode=ctypes.RTLD_GLOBAL)
import tensorrt_bindings as _bindings
sys.modules[__name__] = _bindings
'''


def main() -> None:
    fetch_once(folder_argument(__doc__), fetch, "TensorRT", "set TENSORRT_ROOT to NVIDIA's package instead")


def fetch(folder: Path, temporary: Path) -> None:
    """Libraries, bindings, and the package that puts them together."""
    group, name, version, classifier = COORDINATES
    wanted = f"{group}:{name}:{version}:jar:{classifier}"
    where = [f"-DoutputDirectory={temporary}", "-Dmdep.useBaseVersion=true"]
    run("mvn", "-q", "-B", "dependency:get", "-Dtransitive=false", f"-Dartifact={wanted}")
    run("mvn", "-q", "-B", "dependency:copy", f"-Dartifact={wanted}", *where)
    (folder / "lib").mkdir()
    with zipfile.ZipFile(temporary / f"{name}-{version}-{classifier}.jar") as archive:
        for entry in archive.namelist():
            if Path(entry).name.startswith(LIBRARIES):
                with archive.open(entry) as source, (folder / "lib" / Path(entry).name).open("wb") as out:
                    shutil.copyfileobj(source, out)
    install(folder, BINDINGS)
    (folder / "tensorrt").mkdir()
    (folder / "tensorrt" / "__init__.py").write_text(PACKAGE.format(libraries=LIBRARIES))


if __name__ == "__main__":
    main()
