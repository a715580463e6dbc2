"""Fetch NVIDIA's Triton Inference Server and its client, through pip alone: what `make test-large` serves with.

    python scripts/fetch_triton.py build/deps/triton

FOLDER/tritonserver is the program, FOLDER/lib its libraries, FOLDER/backends the folder for --backend-directory, with
the Python backend and its stub for this Python. FOLDER/numpy has the NumPy 1 that this backend was built for, and
FOLDER/client goes on PYTHONPATH for `import tritonclient.grpc`. The server comes out of the package nvidia-pytriton,
whose own requirements stay out. It has no backend but Python's, and needs glibc 2.35. Who has NVIDIA's container needs
none of it.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SERVER = "nvidia-pytriton==0.7.0"
NUMPY = "numpy==1.26.4"
CLIENT = ("tritonclient==2.73.0", "python-rapidjson==1.25")
STUB = f"{sys.version_info.major}.{sys.version_info.minor}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder.resolve()
    if folder.is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        made = Path(temporary) / "triton"
        made.mkdir()
        try:
            fetch(made, Path(temporary) / "package")
        except (OSError, subprocess.CalledProcessError) as error:
            said = (getattr(error, "stderr", None) or str(error)).strip()
            sys.exit(f"could not fetch the Triton Inference Server: {said.splitlines()[-1]}")
        made.rename(folder)


def fetch(folder: Path, package: Path) -> None:
    """Server, libraries, backend, NumPy and client, each where the docstring says."""
    install(package, SERVER)
    install(folder / "numpy", NUMPY)
    install(folder / "client", *CLIENT)
    server = package / "pytriton" / "tritonserver"
    stub = server / "python_backend_stubs" / STUB / "triton_python_backend_stub"
    if not stub.is_file():
        raise OSError(f"{SERVER} has no Python backend for Python {STUB}")
    shutil.move(server / "bin" / "tritonserver", folder / "tritonserver")
    shutil.move(package / "nvidia_pytriton.libs", folder / "lib")
    shutil.move(server / "backends", folder / "backends")
    shutil.move(stub, folder / "backends" / "python" / stub.name)
    for program in (folder / "tritonserver", folder / "backends" / "python" / stub.name):
        program.chmod(0o755)


def install(folder: Path, *packages: str) -> None:
    command = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:"]
    subprocess.run([*command, "--target", str(folder), *packages], check=True, capture_output=True, text=True)


if __name__ == "__main__":
    main()
