"""A model repository for Triton: folders of models, each with its configuration and its versions."""

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fdcn.bundle import MANIFEST, Bundle
from fdcn.errors import FdcnError
from fdcn.serve.settings import Settings
from fdcn.serve.tritonserver.config import Layout, python_config
from fdcn.serve.tritonserver.model import BUNDLE

VERSION = "1"
MODEL = '''"""A FlowDCN in Triton's Python backend: `fdcn` must be installed where Triton runs Python."""

from fdcn.serve.tritonserver.model import TritonPythonModel as TritonPythonModel
'''


def write_python(folder: Path, name: str, bundle: Bundle, settings: Settings, layout: Layout) -> Path:
    """Write the model that runs fdcn, with a copy of its bundle, into a repository. Returns the model's folder.

    Raises FdcnError where the bundle is damaged, the name is taken, or the folder cannot be written.
    """
    with new_model(folder, name) as made:
        (made / "config.pbtxt").write_text(python_config(name, bundle.manifest, settings, layout), "utf-8")
        version = made / VERSION
        version.mkdir()
        (version / "model.py").write_text(MODEL, "utf-8")
        copy_bundle(bundle, version / BUNDLE)
    return folder / name


def copy_bundle(bundle: Bundle, to: Path) -> None:
    """Copy a bundle, each file checked; other things that lie in its folder stay out."""
    for file in sorted(bundle.manifest.files):
        (to / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bundle.file(file), to / file)
    (to / MANIFEST).write_text(bundle.manifest.to_json(), "utf-8")


@contextlib.contextmanager
def new_model(repository: Path, name: str) -> Iterator[Path]:
    """A folder to write a model into, which takes its name in the repository at the end: whole or not at all.

    Raises FdcnError where the name is taken or is none for a model, or the folder cannot be written.
    """
    check_name(repository, name)
    try:
        repository.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fdcn-", dir=repository) as temporary:
            made = Path(temporary) / name
            made.mkdir()  # as the umask says, which the temporary folder is not
            yield made
            os.replace(made, repository / name)
    except OSError as error:
        raise FdcnError(f"cannot write {repository / name}: {error.strerror or error}") from error


def check_name(repository: Path, name: str) -> None:
    """Raise FdcnError where a name is taken in a repository, or is none for a model."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", name):
        raise FdcnError(
            f"{name!r} is no name for a model: take up to 128 letters, digits, _, - and ., as --name flowdcn"
        )
    try:
        taken = (repository / name).exists()
    except OSError as error:
        raise FdcnError(f"cannot read {repository}: {error.strerror}") from error
    if taken:
        raise FdcnError(f"{repository / name} is there already: remove it, or choose another --name")
