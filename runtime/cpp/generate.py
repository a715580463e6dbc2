"""The headers that the C++ runtime is generated from Python's tables: `python generate.py FOLDER`.

Needs Python 3.10 or newer and nothing installed, since it is a step of the build.
"""

import importlib.util
import string
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""Of the repository, which is the package fdcn."""
UNICODE = range(sys.maxunicode + 1)


def find_package() -> None:
    """Let the modules below this folder be imported as fdcn's, installed or not."""
    if "fdcn" in sys.modules:
        return
    sys.dont_write_bytecode = True  # sources may lie where nobody may write
    spec = importlib.util.spec_from_file_location("fdcn", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fdcn"] = module
    spec.loader.exec_module(module)


def contract_header() -> str:
    """The operator's names and numbers, which the native plugins share."""
    from fdcn.plugins import contract

    return contract.header()


def messages_header() -> str:
    """A function a sentence: its values in the order in which they first appear."""
    from fdcn.messages import table

    sections = [
        f"namespace {section} {{\n\n{''.join(_sentence(name, text) for name, text in sentences.items())}\n"
        f"}}  // namespace {section}\n"
        for section, sentences in table().items()
    ]
    body = """\
// What a sentence is given: text, or a whole number.
struct Value {
    Value(std::string given) : text(std::move(given)) {}
    Value(std::string_view given) : text(given) {}
    Value(char const* given) : text(given) {}
    template <typename T, typename = std::enable_if_t<std::is_integral_v<T> && sizeof(T) >= sizeof(int)>>
    Value(T given) : text(std::to_string(given)) {}

    std::string text;
};

inline std::string joined(std::initializer_list<std::string_view> parts) {
    std::string whole;
    for (std::string_view part : parts) whole += part;
    return whole;
}

"""
    includes = ("initializer_list", "string", "string_view", "type_traits", "utility")
    return _header("data/messages.json", includes, "messages", body + "\n".join(sections))


def _sentence(name: str, text: str) -> str:
    parts: list[str] = []
    values: dict[str, None] = {}  # in order
    for literal, value, _, _ in string.Formatter().parse(text):
        if literal:
            parts.append(_quoted(literal))
        if value is not None:
            values[value] = None
            parts.append(f"{value}.text")
    parameters = ", ".join(f"Value const& {value}" for value in values)
    return f"inline std::string {name}({parameters}) {{ return joined({{{', '.join(parts)}}}); }}\n"


def tables_header() -> str:
    """The solvers' tables, and the numbers of both runtimes, with the model that tells whether products are exact."""
    source = "data/solvers.json and data/neural_solver.json"
    parts = (_bundle_numbers(), _request_numbers(), _integer_product(), _solver_tables(), _neural_tables())
    body = "\n\n".join("\n".join(lines) for lines in parts)
    return _header(source, ("cstddef", "cstdint", "string_view"), "tables", body + "\n")


def _bundle_numbers() -> list[str]:
    import fdcn
    from fdcn import bundle, gpu, records

    return [
        f"inline constexpr char kFdcnVersion[] = {_quoted(fdcn.__version__)};",
        f"inline constexpr int kFormat = {bundle.FORMAT};",
        f"inline constexpr char kManifest[] = {_quoted(bundle.MANIFEST)};",
        f"inline constexpr std::size_t kNestingAtMost = {records.NESTING_AT_MOST};",
        "// Of every number of a manifest that a run calculates with, sides in pixels among them, and of the blocks.",
        f"inline constexpr std::int64_t kAtMost = {bundle.AT_MOST}, kBlocksAtMost = {bundle.BLOCKS_AT_MOST};",
        "",
        "// Options of `fdcn build`, for each precision but float32.",
        "struct Option {\n    std::string_view precision, option;\n};",
        _array("Option", "kOptions", (f"{{{_quoted(p)}, {_quoted(o)}}}" for p, o in bundle.OPTIONS.items())),
        "// The first architecture whose tensor cores multiply in a precision, of those that not all have.",
        "struct FirstArchitecture {\n    std::string_view precision;\n    int number;\n};",
        _array("FirstArchitecture", "kFirst", (f"{{{_quoted(p)}, {n}}}" for p, n in gpu.FIRST.items())),
    ]


def _request_numbers() -> list[str]:
    from fdcn.runtime import tables

    return [
        f"inline constexpr std::int64_t kMaxSteps = {tables.MAX_STEPS};",
        f"inline constexpr std::int64_t kImagesAtMost = {tables.IMAGES_AT_MOST};",
        f"inline constexpr std::int64_t kEveryClassUpTo = {tables.EVERY_CLASS_UP_TO};",
        f"inline constexpr int kNearest = {tables.NEAREST};",
        f"inline constexpr double kCutoff = {_double(tables.CUTOFF)};",
        f"inline constexpr std::int64_t kTokensAtOnce = {tables.TOKENS_AT_ONCE};",
        f"inline constexpr std::int64_t kConditioningBytes = {tables.CONDITIONING_BYTES};",
        f"inline constexpr std::int64_t kLargeRunBytes = {tables.LARGE_RUN_BYTES};",
        f"inline constexpr double kAllowance = {_double(tables.ALLOWANCE)};",
        f"inline constexpr double kSMaxUntil = {_double(tables.S_MAX_UNTIL)};",
        f"inline constexpr int kOuterBlocks = {tables.OUTER_BLOCKS};",
    ]


def _integer_product() -> list[str]:
    from fdcn.runtime import tables

    return [
        "// A model for ONNX Runtime, y = MatMulInteger of a, uint8, and b, int8, of any shapes.",
        _array("unsigned char", "kIntegerProduct", map(str, tables.INTEGER_PRODUCT)),
    ]


def _solver_tables() -> list[str]:
    from fdcn.runtime import tables

    most = max(tables.ADAMS_BASHFORTH)
    adams = [f"{{{_doubles(row)}}}" for _, row in sorted(tables.ADAMS_BASHFORTH.items())]
    diffusions = (f"{{{_quoted(suffix)}, {_doubles(row)}}}" for suffix, row in tables.DIFFUSIONS.items())
    return [
        _array("std::string_view", "kSolvers", map(_quoted, tables.SOLVERS)),
        "// The first of them, whose last step may have a length of its own.",
        f"inline constexpr int kOneStepSolvers = {len(tables.ONE_STEP)};",
        "struct Diffusion {\n    std::string_view suffix;\n    double drift, noise;\n};",
        _array("Diffusion", "kDiffusions", diffusions),
        "// Weights of the last outputs, newest first; row i is of order i + 1.",
        f"inline constexpr double kAdamsBashforth[][{most}] = {{{', '.join(adams)}}};",
    ]


def _neural_tables() -> list[str]:
    from fdcn.runtime import tables

    neural = tables.neural()
    return [
        "// weights[i·(i + 1)/2] and the i after it are those of step i's last outputs, newest first.",
        "struct Neural {\n    int steps;\n    double const* lengths;\n    double const* weights;\n};",
        *(_numbers(f"kNeuralLengths{steps}", table.lengths) for steps, table in neural.items()),
        *(_numbers(f"kNeuralWeights{steps}", sum(table.weights, ())) for steps, table in neural.items()),
        _array("Neural", "kNeural", (f"{{{n}, kNeuralLengths{n}, kNeuralWeights{n}}}" for n in sorted(neural))),
    ]


def unicode_header() -> str:
    """What Python's `str` knows of characters: what `repr` escapes, what `int` reads, what `casefold` does."""
    zeros = [code for code in UNICODE if chr(code).isdecimal() and int(chr(code)) == 0]
    assert all(int(chr(zero + i)) == i for zero in zeros for i in range(10))
    assert sum(chr(code).isdecimal() for code in UNICODE) == 10 * len(zeros)
    folded = {code: text for code in UNICODE if (text := chr(code).casefold()) != chr(code)}
    single = [(code, ord(text)) for code, text in folded.items() if len(text) == 1]
    several = [(code, [*map(ord, text), 0][:3]) for code, text in folded.items() if len(text) > 1]
    assert max(map(len, folded.values())) <= 3
    lines = [
        "struct Range {\n    char32_t first, last;\n};",
        "// What repr escapes.",
        _array("Range", "kNotPrintable", _ranges(lambda character: not character.isprintable())),
        _array("Range", "kSpaces", _ranges(str.isspace)),
        "// Each is a digit 0, and the nine after it are the others.",
        _array("char32_t", "kZeros", map(hex, zeros)),
        "// Every `step`-th character from first to last is folded to one that is `distance` away.",
        "struct Fold {\n    char32_t first, last;\n    std::int32_t step, distance;\n};",
        _array("Fold", "kFolds", (f"{{{a:#x}, {b:#x}, {step}, {distance}}}" for a, b, step, distance in _runs(single))),
        "// Characters that are folded to several; 0 is none.",
        "struct LongFold {\n    char32_t from, to[3];\n};",
        _array("LongFold", "kLongFolds", (f"{{{c:#x}, {{{', '.join(map(hex, to))}}}}}" for c, to in several)),
    ]
    return _header("Python's str", ("cstdint",), "unicode", "\n".join(lines) + "\n")


def _ranges(holds: Callable[[str], bool]) -> Iterator[str]:
    start = None
    for code in (*UNICODE, None):
        if code is not None and holds(chr(code)):
            start = code if start is None else start
        elif start is not None:
            yield f"{{{start:#x}, {(UNICODE.stop if code is None else code) - 1:#x}}}"
            start = None


def _runs(pairs: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int, int, int]]:
    """Pairs of numbers as arithmetic sequences (first, last, step, distance), in order."""
    i = 0
    while i < len(pairs):
        first, to = pairs[i]
        step, last, i = 1, first, i + 1
        while i < len(pairs) and pairs[i][1] - pairs[i][0] == to - first:
            gap = pairs[i][0] - last
            if gap > 2 or (last != first and gap != step):
                break
            step, last, i = gap, pairs[i][0], i + 1
        yield first, last, step, to - first


def _header(source: str, includes: Iterable[str], namespace: str, body: str) -> str:
    lines = "".join(f"#include <{name}>\n" for name in includes)
    return (
        f"// Generated from {source} by runtime/cpp/generate.py.\n#pragma once\n\n{lines}\n"
        f"namespace fdcn::impl::{namespace} {{\n\n{body}\n}}  // namespace fdcn::impl::{namespace}\n"
    )


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _double(value: float) -> str:
    """Exactly that number, as C++17 reads it."""
    return float(value).hex()


def _doubles(values: Iterable[float]) -> str:
    return ", ".join(map(_double, values))


def _numbers(name: str, values: Iterable[float]) -> str:
    return _array("double", name, map(_double, values))


def _array(kind: str, name: str, items: Iterable[str]) -> str:
    return f"inline constexpr {kind} {name}[] = {{{', '.join(items)}}};"


HEADERS = {
    "contract.h": contract_header,
    "messages.h": messages_header,
    "tables.h": tables_header,
    "unicode.h": unicode_header,
}


def write(folder: Path) -> None:
    """Write every header; one that says the same already stays, so that nothing is compiled again for it."""
    find_package()
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in HEADERS.items():
        path, text = folder / name, make()
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
