"""The table of sentences: every key is used, every use names a key and its values, and nobody writes one inline."""

import ast
import re
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

from fdcn.messages import say, table

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("bench", "calib", "export", "plugins", "runtime", "verify")
FILES = [*ROOT.glob("*.py"), *(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))]
RUNTIME = [ROOT / name for name in ("bundle.py", "gpu.py", "records.py", "sizes.py")]
RUNTIME += (ROOT / "runtime").rglob("*.py")
"""What a bundle is run by: its sentences are the C++ runtime's too."""
ERRORS = ("FdcnError", "Malformed", "NotFinite")
KEYS = {f"{section}.{name}": text for section, sentences in table().items() for name, text in sentences.items()}


def placeholders(text: str) -> list[str]:
    """Names of a sentence's values."""
    return [value for _, value, _, _ in string.Formatter().parse(text) if value is not None]


def calls(file: Path, names: tuple[str, ...]) -> Iterator[ast.Call]:
    """Calls of functions or classes by one of these names."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
            yield node


def literals(node: ast.expr) -> list[str]:
    """The texts that an expression is one of."""
    if isinstance(node, ast.IfExp):
        return literals(node.body) + literals(node.orelse)
    assert isinstance(node, ast.Constant), f"line {node.lineno}: write the key itself"
    return [node.value]


SAID = [
    (file, call)
    for file in FILES
    if "from fdcn.messages import say" in file.read_text("utf-8")
    for call in calls(file, ("say",))
]


def test_every_use_names_a_key_and_exactly_its_values() -> None:
    for file, call in SAID:
        given = {keyword.arg for keyword in call.keywords}
        for key in literals(call.args[0]):
            where = f"{file.relative_to(ROOT)}:{call.lineno}: {key}"
            assert key in KEYS, f"{where} is no sentence of data/messages.json"
            assert given == set(placeholders(KEYS[key])), f"{where} is given other values than its sentence has"


def said_by_cpp(file: Path) -> Iterator[str]:
    """Keys whose functions a file of the C++ runtime calls."""
    text = file.read_text("utf-8")
    names = dict(re.findall(r"namespace (\w+) = (?:\w+::)*messages::(\w+);", text))
    for section, name in re.findall(r"\b(\w+)::(\w+)\(", text):
        yield f"{names.get(section, section)}.{name}"


def test_every_sentence_is_used() -> None:
    used = {key for _, call in SAID for key in literals(call.args[0])}
    used.update(key for file in (ROOT / "runtime" / "cpp" / "src").rglob("*.*") for key in said_by_cpp(file))
    unused = sorted(KEYS.keys() - used)
    assert not unused, f"take {unused} out of data/messages.json"


@pytest.mark.parametrize("file", RUNTIME, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_error_is_worded_where_it_is_raised(file: Path) -> None:
    inline = [
        call.lineno
        for call in calls(file, ERRORS)
        if call.args and isinstance(call.args[0], ast.Constant | ast.JoinedStr | ast.BinOp)
    ]
    assert not inline, f"put the sentences of lines {inline} into data/messages.json"


@pytest.mark.parametrize("key", KEYS)
def test_names_and_values_can_be_a_function_of_cpp(key: str) -> None:
    for name in [*key.split("."), *placeholders(KEYS[key])]:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name), name
    assert all(not form and not conversion for _, _, form, conversion in string.Formatter().parse(KEYS[key]))


def test_values_are_put_in_as_they_are() -> None:
    assert say("request.unknown_class", label="{hint}", hint="{0} {{}} %s") == "no class is called {hint}; {0} {{}} %s"
