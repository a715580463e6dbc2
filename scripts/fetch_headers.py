"""Fetch what the native parts are built and tested with from other projects, through package managers alone.

    python scripts/fetch_headers.py build/deps

| folder | what | from |
|---|---|---|
| onnxruntime | ONNX Runtime's C and C++ API (make ops) | Debian's libonnxruntime-dev |
| onnxruntime-cpp | the same, and the library to link with (make cpp) | the installed package onnxruntime of Python |
| nlohmann-json, googletest, cpp-httplib | JSON for C++, its tests, HTTP for an example (make cpp) | Debian |
| tensorrt-rtx-1.7, tensorrt-11.4 | NVIDIA's NvInfer*.h (the TensorRT plugin) | the crate trtx-sys |

What cannot be had here is named, with what to do instead, and the status is 1. Who has NVIDIA's or ONNX Runtime's own
packages needs none of this: TENSORRT_ROOT and ONNXRUNTIME_ROOT name their folders.
"""

import importlib.util
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from fetching import folder_argument, reason, run

CRATE = "trtx-sys"
CRATE_VERSION = "0.9.1"
CRATE_FOLDERS = {"TRT-RTX-1.7": "tensorrt-rtx-1.7", "TRT-Enterprise-11.4": "tensorrt-11.4"}
DEBIAN_FOLDERS = ("onnxruntime", "nlohmann-json", "googletest", "cpp-httplib")
DEBIAN_RELEASE = "trixie"
"""The first release with ONNX Runtime; an older machine takes these packages of headers from there."""


def main() -> None:
    folder = folder_argument(__doc__)
    folder.mkdir(parents=True, exist_ok=True)
    missing = 0
    for fetch, wanted, instead in (
        (tensorrt, tuple(CRATE_FOLDERS.values()), "set TENSORRT_ROOT to NVIDIA's package"),
        (debian, DEBIAN_FOLDERS, "set ONNXRUNTIME_ROOT to ONNX Runtime's release package, and install the others"),
        (onnxruntime_library, ("onnxruntime-cpp",), "set ONNXRUNTIME_ROOT to ONNX Runtime's release package"),
    ):
        # The library is whichever version is installed today.
        if fetch is not onnxruntime_library and all((folder / name).is_dir() for name in wanted):
            continue
        try:
            in_temporary_folder(fetch, folder)
        except (OSError, subprocess.CalledProcessError) as error:
            missing += 1
            print(f"could not fetch {', '.join(wanted)}: {reason(error)}; {instead}", file=sys.stderr)
    sys.exit(bool(missing))


def in_temporary_folder(fetch: Callable[[Path, Path], None], folder: Path) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        fetch(Path(temporary), folder)


def tensorrt(temporary: Path, folder: Path) -> None:
    """Both sets of NvInfer*.h lie in one crate, as plain files."""
    (temporary / "Cargo.toml").write_text(
        '[package]\nname = "headers"\nversion = "0.0.0"\nedition = "2021"\n[lib]\npath = "lib.rs"\n'
        f'[dependencies]\n{CRATE} = {{ version = "={CRATE_VERSION}", default-features = false }}\n'
    )
    (temporary / "lib.rs").touch()
    run("cargo", "vendor", "--quiet", "vendor", cwd=temporary)
    for source, name in CRATE_FOLDERS.items():
        place(temporary / "vendor" / CRATE / "TensorRT-Headers" / source, folder / name)


def debian(temporary: Path, folder: Path) -> None:
    """The headers of Debian's packages, without installing them; cpp-httplib's own, which need no library, lie in its
    source package alone."""
    sources = temporary / "sources.list"
    line = f"[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {debian_archive()} {DEBIAN_RELEASE} main\n"
    sources.write_text(f"deb {line}deb-src {line}")
    for name in ("lists/partial", "cache/archives/partial"):
        (temporary / name).mkdir(parents=True)
    apt = ["apt-get", "-qq", f"-oDir::Etc::sourcelist={sources}", "-oDir::Etc::sourceparts=-"]
    apt += [f"-oDir::State::Lists={temporary}/lists", f"-oDir::Cache={temporary}/cache"]
    apt += ["-oAPT::Sandbox::User=root"]
    run(*apt, "update", cwd=temporary)
    run(*apt, "download", "libonnxruntime-dev", "nlohmann-json3-dev", "googletest", cwd=temporary)
    for package in temporary.glob("*.deb"):
        run("dpkg-deb", "-x", str(package), "packages", cwd=temporary)
    run(*apt, "source", "cpp-httplib", cwd=temporary)
    (httplib,) = temporary.glob("cpp-httplib-*/httplib.h")
    for name, header in (("nlohmann-json", "packages/usr/include/nlohmann"), ("cpp-httplib", httplib)):
        (temporary / name).mkdir()
        shutil.move(temporary / header, temporary / name)
        place(temporary / name, folder / name)
    place(temporary / "packages/usr/src/googletest", folder / "googletest")
    place(temporary / "packages/usr/include/onnxruntime", folder / "onnxruntime")


def onnxruntime_library(temporary: Path, folder: Path) -> None:
    """Links to the headers and to the library of Python's own ONNX Runtime, so that C++ runs the same version."""
    found = importlib.util.find_spec("onnxruntime")
    if found is None or found.origin is None:
        raise OSError("this Python has no onnxruntime")
    libraries = sorted(Path(found.origin).parent.glob("capi/libonnxruntime.so.*"))
    if not libraries:
        raise OSError(f"{Path(found.origin).parent} has no libonnxruntime.so")
    made = temporary / "onnxruntime-cpp"
    (made / "lib").mkdir(parents=True)
    (made / "lib/libonnxruntime.so.1").symlink_to(libraries[-1])
    (made / "lib/libonnxruntime.so").symlink_to("libonnxruntime.so.1")
    (made / "include").symlink_to("../onnxruntime", target_is_directory=True)
    place(made, folder / "onnxruntime-cpp")


def debian_archive() -> str:
    """The archive that this machine's own apt takes packages from. Raises OSError where it is no Debian."""
    folder = Path("/etc/apt")
    files = [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))]
    for file in filter(Path.is_file, files):
        for line in file.read_text().splitlines():
            if line.startswith(("URIs:", "deb ")):
                for word in line.split():
                    if word.rstrip("/").endswith("/debian"):
                        return word
    raise OSError("apt here names no Debian archive")


def place(source: Path, destination: Path) -> None:
    """Copy a folder so that it is there whole or not at all."""
    temporary = destination.with_name(f".{destination.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.copytree(source, temporary, symlinks=True)
    shutil.rmtree(destination, ignore_errors=True)
    temporary.rename(destination)


if __name__ == "__main__":
    main()
