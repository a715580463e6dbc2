"""Fetch the C++ headers that the native parts are built and tested with, through package managers alone.

    python scripts/fetch_headers.py build/deps

| folder | what | from |
|---|---|---|
| onnxruntime | ONNX Runtime's C and C++ API (make ops) | Debian's libonnxruntime-dev |
| tensorrt-rtx-1.7, tensorrt-11.4 | NVIDIA's NvInfer*.h (the TensorRT plugin) | the crate trtx-sys |

What cannot be had here is named, with what to do instead, and the status is 1. Who has NVIDIA's or ONNX Runtime's own
packages needs none of this: TENSORRT_ROOT and ONNXRUNTIME_ROOT name their folders.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

CRATE = "trtx-sys"
CRATE_VERSION = "0.9.1"
CRATE_FOLDERS = {"TRT-RTX-1.7": "tensorrt-rtx-1.7", "TRT-Enterprise-11.4": "tensorrt-11.4"}
DEBIAN_PACKAGE = "libonnxruntime-dev"
DEBIAN_RELEASE = "trixie"
"""The first release that has it; an older machine takes this one package of headers from there."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    missing = 0
    for fetch, wanted, instead in (
        (tensorrt, tuple(CRATE_FOLDERS.values()), "set TENSORRT_ROOT to NVIDIA's package"),
        (onnxruntime, ("onnxruntime",), "set ONNXRUNTIME_ROOT to ONNX Runtime's release package"),
    ):
        if all((folder / name).is_dir() for name in wanted):
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


def onnxruntime(temporary: Path, folder: Path) -> None:
    """The headers of Debian's package, without installing it."""
    sources = temporary / "sources.list"
    sources.write_text(
        f"deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {debian_archive()} {DEBIAN_RELEASE} main\n"
    )
    for name in ("lists/partial", "cache/archives/partial"):
        (temporary / name).mkdir(parents=True)
    apt = ["apt-get", "-qq", f"-oDir::Etc::sourcelist={sources}", "-oDir::Etc::sourceparts=-"]
    apt += [f"-oDir::State::Lists={temporary}/lists", f"-oDir::Cache={temporary}/cache"]
    apt += ["-oAPT::Sandbox::User=root"]
    run(*apt, "update", cwd=temporary)
    run(*apt, "download", DEBIAN_PACKAGE, cwd=temporary)
    (package,) = temporary.glob(f"{DEBIAN_PACKAGE}*.deb")
    run("dpkg-deb", "-x", str(package), "package", cwd=temporary)
    place(temporary / "package/usr/include/onnxruntime", folder / "onnxruntime")


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
    shutil.copytree(source, temporary)
    shutil.rmtree(destination, ignore_errors=True)
    temporary.rename(destination)


def run(*words: str, cwd: Path) -> None:
    subprocess.run(words, cwd=cwd, check=True, capture_output=True, text=True)


def reason(error: OSError | subprocess.CalledProcessError) -> str:
    """The last thing that a failed program said, or why it did not start."""
    if isinstance(error, subprocess.CalledProcessError):
        lines = (error.stderr or error.stdout or "").strip().splitlines() or [f"status {error.returncode}"]
        return f"{error.cmd[0]}: {lines[-1]}"
    return str(error)


if __name__ == "__main__":
    main()
