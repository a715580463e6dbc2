"""A wheel for Linux, which has the operator's libraries built: `python scripts/linux_wheel.py FOLDER`.

It is the pure wheel and the libraries beside their sources, named as the cache names them. They are linked with the
system's C and C++ libraries alone, whose oldest versions that will do are the wheel's tag, by auditwheel.
"""

import argparse
import base64
import hashlib
import json
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path

from fdcn.errors import FdcnError
from fdcn.plugins import libraries

ROOT = Path(__file__).resolve().parents[1]
INSIDE = "fdcn/plugins/prebuilt"
"""Where `libraries.PREBUILT` is in a wheel."""


def native_libraries() -> list[Path]:
    """Every library, built; the TensorRT plugin for each CUDA that a compiler is here for, which must be one at least.

    Raises FdcnError where one cannot be built.
    """
    plugins, missing = [], []
    for cuda in libraries.CUDA_VERSIONS:
        try:
            plugins.append(libraries.build("tensorrt", cuda))
        except FdcnError as error:
            missing.append(error)
            print(f"no plugin for CUDA {cuda}: {error}", file=sys.stderr)
    if not plugins:
        raise missing[0]
    return [libraries.build("ops"), *dict.fromkeys(plugins)]


def pure_wheel(folder: Path) -> Path:
    """The wheel for every system, built into a folder; of the source distribution, so that nothing old gets in."""
    _run("build", "--no-isolation", "--outdir", str(folder), str(ROOT))
    (wheel,) = folder.glob("*.whl")
    return wheel


def with_libraries(wheel: Path, files: list[Path], platform: str, folder: Path) -> Path:
    """A wheel with libraries and the tag of a platform, written into a folder."""
    name, version, *_ = wheel.name.split("-")
    out = folder / f"{name}-{version}-py3-none-{platform}.whl"
    information = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(wheel) as pure, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        contents = {item.filename: pure.read(item) for item in pure.infolist()}
        contents |= {f"{INSIDE}/{file.name}": file.read_bytes() for file in files}
        about = contents[f"{information}/WHEEL"].decode()
        about = about.replace("Root-Is-Purelib: true", "Root-Is-Purelib: false").replace(
            "-none-any", f"-none-{platform}"
        )
        contents[f"{information}/WHEEL"] = about.encode()
        record = f"{information}/RECORD"
        lines = [_recorded(path, content) for path, content in contents.items() if path != record]
        contents[record] = "".join([*lines, f"{record},,\n"]).encode()
        for path, content in contents.items():
            item = zipfile.ZipInfo(path)  # of 1980: the same files are the same wheel
            item.external_attr, item.compress_type = 0o100644 << 16, zipfile.ZIP_DEFLATED
            archive.writestr(item, content)
    return out


def _this_platform() -> str:
    return sysconfig.get_platform().replace("-", "_").replace(".", "_")


def _recorded(path: str, content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{path},sha256={digest},{len(content)}\n"


def platform_tag(wheel: Path) -> str:
    """The platform of the oldest systems that a wheel runs on. Raises ValueError where it needs more than they have."""
    said = _run("auditwheel", "show", "--json", str(wheel))
    found: str = json.loads(said)["overall_tag"]
    if not found.startswith("manylinux"):
        raise ValueError(f"the libraries need more than every Linux has: {said}")
    return found


def _run(*words: str) -> str:
    """What a module's program says; ends this one where it fails."""
    done = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"error: {words[0]}: {done.stdout}{done.stderr}")
    return done.stdout


def build(folder: Path) -> Path:
    """Build the wheel into a folder, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    files = native_libraries()
    with tempfile.TemporaryDirectory() as temporary:
        pure = pure_wheel(Path(temporary))
        trial = with_libraries(pure, files, _this_platform(), Path(temporary))
        return with_libraries(pure, files, platform_tag(trial), folder)


def main() -> None:
    """Build it and print where it is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("folder", type=Path, help="where the wheel is put")
    try:
        print(build(parser.parse_args().folder))
    except FdcnError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
