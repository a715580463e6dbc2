"""Fetch NVIDIA's Triton Inference Server and its client, through pip alone: what `make test-large` serves with.

    python scripts/fetch_triton.py build/deps/triton

FOLDER/tritonserver is the program, FOLDER/lib its libraries, FOLDER/backends the folder for --backend-directory, with
the Python backend and its stub for this Python. FOLDER/numpy has the NumPy 1 that this backend was built for, and
FOLDER/client goes on PYTHONPATH for `import tritonclient.grpc`. The server comes out of the package nvidia-pytriton,
whose own requirements stay out. It has no backend but Python's, and needs glibc 2.35. Who has NVIDIA's container needs
none of it.
"""

import shutil
import sys
from pathlib import Path

from fetching import fetch_once, folder_argument, install

SERVER = "nvidia-pytriton==0.7.0"
NUMPY = "numpy==1.26.4"
CLIENT = ("tritonclient==2.73.0", "python-rapidjson==1.25")
STUB = f"{sys.version_info.major}.{sys.version_info.minor}"


def main() -> None:
    fetch_once(folder_argument(__doc__), fetch, "the Triton Inference Server")


def fetch(folder: Path, temporary: Path) -> None:
    """Server, libraries, backend, NumPy and client, each where the docstring says."""
    package = temporary / "package"
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


if __name__ == "__main__":
    main()
