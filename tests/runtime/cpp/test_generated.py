"""The generated headers, compiled: C++ says what Python says, and has Python's numbers and characters."""

import importlib.util
import shutil
import string
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from fdcn import __version__, bundle, gpu, records
from fdcn.messages import say, table
from fdcn.runtime import solvers, tables

ROOT = Path(__file__).resolve().parents[3]
GENERATE = ROOT / "runtime" / "cpp" / "generate.py"
AWKWARD = ("", "{}", "{label}", "%s %n", '"\\', "a\nb\tc", "×…é", "\U0001f600", "'", "0", "?" * 300)
END = "\x1e"

PROGRAM = """
#include "contract.h"
#include "messages.h"
#include "tables.h"
#include "unicode.h"

#include <cstdio>

using namespace fdcn::impl;

template <typename... Parts>
void say(Parts const&... parts) {
    (std::fputs(std::string(parts).c_str(), stdout), ...);
    std::fputs("\\x1e", stdout);
}

template <typename... Numbers>
void tell(Numbers... numbers) {
    (std::printf("%a ", static_cast<double>(numbers)), ...);
    std::puts("");
}

int main(int count, char** arguments) {
    if (count > 1) {
        char** value = arguments + 1;
        (void)value;
%SENTENCES%
        return 0;
    }
    tell(tables::kFormat, tables::kMaxSteps, tables::kImagesAtMost, tables::kEveryClassUpTo, tables::kNearest,
         tables::kCutoff, tables::kTokensAtOnce, tables::kConditioningBytes, tables::kLargeRunBytes, tables::kAllowance,
         tables::kSMaxUntil, tables::kOuterBlocks, tables::kOneStepSolvers, tables::kNestingAtMost, tables::kAtMost,
         tables::kBlocksAtMost);
    for (auto const& [suffix, drift, noise] : tables::kDiffusions) tell(suffix.size(), drift, noise);
    for (auto const& row : tables::kAdamsBashforth) tell(row[0], row[1], row[2], row[3]);
    for (auto const& [steps, lengths, weights] : tables::kNeural)
        for (int i = 0; i < steps; ++i)
            for (int j = 0; j <= i; ++j) tell(steps, lengths[i], weights[i * (i + 1) / 2 + j]);
    for (auto const& [precision, number] : tables::kFirst) tell(precision.size(), number);
    for (unsigned char byte : tables::kIntegerProduct) tell(byte);
    std::puts("");
    for (auto const& name : tables::kSolvers) std::printf("%s ", name.data());
    for (auto const& [precision, option] : tables::kOptions) std::printf("%s %s ", precision.data(), option.data());
    std::printf("%s %s", tables::kFdcnVersion, tables::kManifest);
    std::puts("\\n");
    for (auto const& [first, last] : unicode::kNotPrintable) tell(first, last);
    std::puts("");
    for (auto const& [first, last] : unicode::kSpaces) tell(first, last);
    std::puts("");
    for (char32_t zero : unicode::kZeros) tell(zero);
    std::puts("");
    for (auto const& [first, last, step, distance] : unicode::kFolds) tell(first, last, step, distance);
    std::puts("");
    for (auto const& [from, to] : unicode::kLongFolds) tell(from, to[0], to[1], to[2]);
}
"""


def sentences() -> Iterator[tuple[str, dict[str, str]]]:
    """Every key, with a value for each of its placeholders that no other has."""
    number = 0
    for section, of_section in table().items():
        for name, text in of_section.items():
            values = {}
            for _, placeholder, _, _ in string.Formatter().parse(text):
                if placeholder is not None and placeholder not in values:
                    values[placeholder] = AWKWARD[number % len(AWKWARD)] + str(number)
                    number += 1
            yield f"{section}.{name}", values


SENTENCES = list(sentences())


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that says every sentence of its arguments, or without any tells every number."""
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("the generated headers were not compiled: there is no C++ compiler")
    folder = tmp_path_factory.mktemp("generated")
    # As a build runs it: nothing installed, and nowhere but here to be found.
    subprocess.run([sys.executable, "-I", "-S", str(GENERATE), str(folder)], cwd=folder, env={}, check=True)
    lines, used = [], 0
    for key, values in SENTENCES:
        arguments = ", ".join(f"value[{used + i}]" for i in range(len(values)))
        lines.append(f"        say(messages::{key.replace('.', '::')}({arguments}));")
        used += len(values)
    (folder / "main.cpp").write_text(PROGRAM.replace("%SENTENCES%", "\n".join(lines)))
    options = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O0"]
    subprocess.run([compiler, *options, "main.cpp", "-o", "told"], cwd=folder, check=True, timeout=120)
    return folder / "told"


@pytest.fixture(scope="module")
def told(program: Path) -> list[list[list[float]]]:
    """What the program tells, in parts of lines of numbers; of names, an empty one."""
    text = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    return [_numbers(part) for part in text.split("\n\n")]


def _numbers(part: str) -> list[list[float]]:
    if "euler" in part:
        return []
    return [[float.fromhex(number) for number in line.split()] for line in part.splitlines()]


def test_every_sentence_is_the_same(program: Path) -> None:
    values = [value for _, of_key in SENTENCES for value in of_key.values()]
    said = subprocess.run([program, *values], capture_output=True, encoding="utf-8", check=True).stdout.split(END)
    assert said == [*(say(key, **of_key) for key, of_key in SENTENCES), ""]


def test_every_number_is_the_same(told: list[list[list[float]]]) -> None:
    constants, rest = told[0][0], told[0][1:]
    assert constants == [
        *(bundle.FORMAT, tables.MAX_STEPS, tables.IMAGES_AT_MOST, tables.EVERY_CLASS_UP_TO, tables.NEAREST),
        *(tables.CUTOFF, tables.TOKENS_AT_ONCE, tables.CONDITIONING_BYTES, tables.LARGE_RUN_BYTES),
        *(tables.ALLOWANCE, tables.S_MAX_UNTIL, tables.OUTER_BLOCKS, len(tables.ONE_STEP)),
        *(records.NESTING_AT_MOST, bundle.AT_MOST, bundle.BLOCKS_AT_MOST),
    ]
    wanted = [[len(name), *discretisation] for name, discretisation in tables.DIFFUSIONS.items()]
    wanted += [[*row, *[0.0] * (4 - len(row))] for row in tables.ADAMS_BASHFORTH.values()]
    wanted += [
        [steps, table.lengths[i], weight]
        for steps, table in tables.neural().items()
        for i, row in enumerate(table.weights)
        for weight in row
    ]
    wanted += [[len(precision), first] for precision, first in gpu.FIRST.items()]
    wanted += [[byte] for byte in tables.INTEGER_PRODUCT]
    assert rest == wanted


def test_every_name_is_the_same(program: Path) -> None:
    text = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    names = next(part for part in text.split("\n\n") if "euler" in part).split()
    options = [word for pair in bundle.OPTIONS.items() for word in pair]
    assert names == [*tables.SOLVERS, *options, __version__, bundle.MANIFEST]


def test_there_is_a_table_for_every_solver() -> None:
    assert tuple(solvers._SOLVERS) == tables.SOLVERS
    assert tuple(solvers._ONE_STEP) == tables.ONE_STEP
    assert all(sum(row) == pytest.approx(1) for one in tables.neural().values() for row in one.weights)


@pytest.mark.parametrize(
    ("part", "holds"), [(2, lambda character: not character.isprintable()), (3, str.isspace)], ids=["escaped", "space"]
)
def test_every_character_is_of_the_same_kind(told, part, holds) -> None:
    found = {code for first, last in told[part] for code in range(int(first), int(last) + 1)}
    assert found == {code for code in range(sys.maxunicode + 1) if holds(chr(code))}


def test_every_digit_has_the_same_value(told) -> None:
    found = {int(zero) + i: i for (zero,) in told[4] for i in range(10)}
    wanted = {code: unicodedata.decimal(chr(code), None) for code in range(sys.maxunicode + 1)}
    assert found == {code: value for code, value in wanted.items() if value is not None}


def test_every_character_is_folded_to_the_same(told) -> None:
    found = {}
    for first, last, step, distance in told[5]:
        codes = range(int(first), int(last) + 1, int(step))
        assert not found.keys() & set(codes)
        found.update((code, chr(code + int(distance))) for code in codes)
    for code, *to in told[6]:
        found[int(code)] = "".join(chr(int(c)) for c in to if c)
    wanted = {code: chr(code).casefold() for code in range(sys.maxunicode + 1)}
    assert found == {code: text for code, text in wanted.items() if text != chr(code)}


def test_what_says_the_same_is_not_written_again(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("generate", GENERATE)
    assert spec is not None
    assert spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    generate.write(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    (tmp_path / "tables.h").write_text("changed")
    generate.write(tmp_path)
    again = {path.name for path, time in before.items() if path.stat().st_mtime_ns != time}
    assert len(before) == 4
    assert again == {"tables.h"}
