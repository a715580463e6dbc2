"""Who may import whom, read from the source; and what a machine without the optional packages can still do."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("bench", "calib", "data", "export", "plugins", "runtime", "serve", "verify")

LEAVES = ("fdcn", "fdcn.data", "fdcn.errors", "fdcn.gpu", "fdcn.messages", "fdcn.records", "fdcn.sizes")
BELOW = {
    "fdcn": ("fdcn.errors", "fdcn.runtime"),  # the public names, on first use
    "fdcn.errors": (),
    "fdcn.messages": (),
    "fdcn.sizes": ("fdcn.messages",),
    "fdcn.records": ("fdcn.messages",),
    "fdcn.data": (),
    "fdcn.gpu": ("fdcn.errors", "fdcn.messages"),
    "fdcn.cache": LEAVES,
    "fdcn.bundle": LEAVES,
    "fdcn.plugins": (*LEAVES, "fdcn.bundle", "fdcn.cache", "fdcn.plugins"),
    "fdcn.export": (*LEAVES, "fdcn.bundle", "fdcn.cache", "fdcn.plugins", "fdcn.export"),
    # An engine is built by the library that will run it, and named as that backend names it.
    "fdcn.export.engine": (*LEAVES, "fdcn.bundle", "fdcn.export.lock", "fdcn.runtime.backends"),
    "fdcn.runtime": (*LEAVES, "fdcn.bundle", "fdcn.cache", "fdcn.plugins", "fdcn.runtime"),
    "fdcn.calib": (*LEAVES, "fdcn.bundle", "fdcn.plugins", "fdcn.export", "fdcn.runtime", "fdcn.calib"),
    "fdcn.serve": (*LEAVES, "fdcn.bundle", "fdcn.runtime", "fdcn.serve"),
    # The command line's half of it.
    "fdcn.serve.commands": (*LEAVES, "fdcn.bundle", "fdcn.runtime", "fdcn.serve", "fdcn.parameters", "fdcn.terminal"),
    "fdcn.verify": (*LEAVES, "fdcn.bundle", "fdcn.plugins", "fdcn.export", "fdcn.runtime", "fdcn.verify"),
    # It runs where engines run: of `verify` it takes what needs no ONNX.
    "fdcn.bench": (
        *LEAVES,
        "fdcn.bundle",
        "fdcn.plugins.flavours",
        "fdcn.runtime",
        *("fdcn.verify.limits", "fdcn.verify.plot", "fdcn.verify.psnr"),
        "fdcn.bench",
    ),
    "fdcn.doctor": (*LEAVES, "fdcn.plugins.libraries"),
    "fdcn.terminal": LEAVES,
    "fdcn.parameters": (*LEAVES, "fdcn.export.profiles"),
    "fdcn.inspection": (*LEAVES, "fdcn.bundle", "fdcn.runtime"),
}
"""What a module may import of fdcn: its longest entry counts. A name stands for all below it, `fdcn` for itself.

The command line is on top of everything and has none.
"""

CORE = ("click", "numpy", "PIL", "rich")
"""What every installation has; ONNX Runtime, which it also has, may be replaced by another engine library."""
DEPLOYED = (
    "fdcn",
    "fdcn.bundle",
    "fdcn.data",
    "fdcn.errors",
    "fdcn.messages",
    "fdcn.records",
    "fdcn.sizes",
    "fdcn.runtime",
    "fdcn.doctor",
)
DEPLOYED += ("fdcn.cli", "fdcn.terminal", "fdcn.inspection", "fdcn.export.engine")
ENGINE_LIBRARIES = ("fdcn.runtime.backends", "fdcn.export.engine", "fdcn.doctor")
"""The only parts of the deployed ones that may name ONNX Runtime, or CUDA's bindings."""


def modules() -> dict[str, ast.Module]:
    """Every module of the package by its name, parsed."""
    files = [*ROOT.glob("*.py"), *(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))]
    found = {}
    for file in files:
        parts = file.relative_to(ROOT).with_suffix("").parts
        name = ".".join(("fdcn", *parts)).removesuffix(".__init__")
        found[name] = ast.parse(file.read_text(encoding="utf-8"), str(file))
    return found


MODULES = modules()


def imports(node: ast.AST) -> Iterator[str]:
    """What a node imports wherever it stands, by full name: of `from a import b`, a.b where that is a module."""
    for child in ast.walk(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"relative import of {child.module}: write it in full"
            for alias in child.names:
                name = f"{child.module}.{alias.name}"
                yield name if name in MODULES else str(child.module)


def within(name: str, prefixes: tuple[str, ...]) -> bool:
    """Whether one of the prefixes is the module or holds it; `fdcn` alone holds nothing."""
    return any(name == prefix or (prefix != "fdcn" and name.startswith(f"{prefix}.")) for prefix in prefixes)


def third_party(node: ast.AST) -> set[str]:
    """Top-level names of what a node imports from neither fdcn nor Python itself."""
    return {name.split(".")[0] for name in imports(node)} - {"fdcn"} - set(sys.stdlib_module_names)


@pytest.mark.parametrize("name", [name for name in MODULES if name != "fdcn.cli"])
def test_imports_go_one_way(name: str) -> None:
    layer = max((prefix for prefix in BELOW if within(name, (prefix,))), key=len, default=None)
    assert layer, f"{name} belongs to no layer: add it to BELOW, above all that it imports"
    own = [target for target in imports(MODULES[name]) if target.split(".")[0] == "fdcn"]
    wrong = [target for target in own if not within(target, BELOW[layer])]
    assert not wrong, f"{name} may import {BELOW[layer]} of fdcn, and imports {wrong}"


@pytest.mark.parametrize("name", [name for name in MODULES if within(name, DEPLOYED)])
def test_deployed_modules_need_the_core_alone(name: str) -> None:
    allowed = {*CORE, "onnxruntime", "cuda"} if within(name, ENGINE_LIBRARIES) else {*CORE}
    assert third_party(MODULES[name]) <= allowed


def test_the_command_line_imports_inside_its_commands() -> None:
    outside = [node for node in MODULES["fdcn.cli"].body if not isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assert set().union(*map(third_party, outside)) <= {"click"}


def test_no_module_is_named_like_a_dependency() -> None:
    dependencies = set().union(*map(third_party, MODULES.values())) | {"tensorrt", "triton", "cuda"}
    assert not {name for name in MODULES if name.split(".")[-1] in dependencies}


BLOCKER = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if {blocked}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocker())
"""


def run_blocked(blocked: str, code: str) -> str:
    """Output of Python code in a process in which modules are missing: `blocked` says which, of `name` and `top`."""
    command = [sys.executable, "-c", BLOCKER.format(blocked=blocked) + code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


COMMANDS = (
    *("export", "calibrate", "build", "run", "verify", "bench", "inspect", "doctor"),
    *("serve", "sample", "package"),
)
ALL_BUT_CLICK = "top not in sys.stdlib_module_names and top not in ('click', 'fdcn')"


def test_help_works_where_only_click_is_installed() -> None:
    help_text = run_blocked(ALL_BUT_CLICK, "from fdcn.cli import main; sys.argv = ['fdcn', '--help']; main()")
    commands = help_text.partition("Commands:")[2].split()
    assert set(COMMANDS) <= set(commands)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_commands_works_where_only_click_is_installed(command: str) -> None:
    code = f"from fdcn.cli import main; sys.argv = ['fdcn', {command!r}, '--help']; main()"
    assert "Usage: fdcn" in run_blocked(ALL_BUT_CLICK, code)


def test_help_imports_no_numpy() -> None:
    code = "import atexit; atexit.register(lambda: print('numpy' in sys.modules))\n"
    code += "from fdcn.cli import main; sys.argv = ['fdcn', '--help']; main()"
    assert run_blocked("False", code).split()[-1] == "False"


def test_the_runtime_loads_without_the_export_packages() -> None:
    code = "import importlib, pkgutil, fdcn.runtime as package\n"
    code += (
        "for module in pkgutil.walk_packages(package.__path__, 'fdcn.runtime.'): importlib.import_module(module.name)"
    )
    run_blocked("top in ('torch', 'onnx', 'onnx_ir', 'onnxscript') or name.startswith('fdcn.export')", code)
