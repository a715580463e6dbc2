"""Write the README's and the documents' tables from the committed results, and the README's picture.

python benchmarks/tables.py              # tables, between <!-- table: NAME --> and <!-- end -->
python benchmarks/tables.py --picture    # docs/garments.png too: samples the shipped checkpoint
"""

import argparse
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import contributed
from machine import read as result
from PIL import Image
from quantised_tables import calibrate, fp8, int8, int8_operators
from serving_tables import serving

from fdcn.bench.report import NETWORK, PICTURE, Report
from fdcn.bench.table import duration, reached
from fdcn.bundle import Bundle
from fdcn.export.engine import build_onnxruntime
from fdcn.export.exporter import export as export_bundle
from fdcn.runtime.grid import grid
from fdcn.runtime.images import Images, to_image
from fdcn.runtime.pipeline import Pipeline

ROOT = Path(__file__).parent.parent
DOCUMENTS = ("README.md", "docs/measurements.md", "docs/benchmarks.md")
CHECKPOINT = ROOT / "examples" / "fashion_mnist" / "fashion-mnist.safetensors"
SIZES = ((28, 28), (56, 28), (28, 56))


def quality() -> str:
    q = result("quality")
    generated = next(row for row in q["rows"] if row["name"] == "generated")
    lines = [
        f"Shipped checkpoint, `{generated['solver']}` {generated['steps']} steps, guidance {generated['guidance']:g}; "
        "the classifier has seen real pictures only:",
        "",
        "| pictures | number | class accuracy | Fréchet distance | precision | recall |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for row in q["rows"]:
        lines.append(
            f"| {row['name']} {row.get('size', '')} | {row['pictures']:,} | {row['accuracy']:.1%} "
            f"| {row['frechet']:.2f} | {row['precision']:.2f} | {row['recall']:.2f} |"
        )
    return "\n".join(lines)


def step() -> str:
    s = result("step")
    seconds = {name: entry["median"] for name, entry in s["seconds"].items()}
    names = {
        "torch_eager": "PyTorch eager",
        "torch_compile": "torch.compile",
        "fdcn_function": "fdcn, the operator as the file's function",
        "fdcn": "**fdcn**, the operator native (`make ops`)",
    }
    lines = [
        f"One guided step of S/2 at 256 px, random weights, {s['threads']} threads of {s['machine']['processor']}:",
        "",
        "| | median | fdcn is |",
        "|---|--:|--:|",
    ]
    for key, name in names.items():
        faster = "" if key == "fdcn" else f"{seconds[key] / seconds['fdcn']:.2f}x"
        lines.append(f"| {name} | {1e3 * seconds[key]:.0f} ms | {faster} |")
    share = s["gemm_limit_seconds"] / seconds["fdcn"]
    lines.append(
        f"| its multiply-adds at the best sgemm | {1e3 * s['gemm_limit_seconds']:.0f} ms | {share:.0%} of it |"
    )
    return "\n".join(lines)


def around() -> str:
    """What surrounds a step: size and sampler."""
    s = result("step")
    rows = {
        "time a token at 1024 px over that at 256 px": f"{s['token_ratio_1024_to_256']:.2f}",
        "`neural`: share of a run outside the network": f"{s['sampler_share']['neural']:.1%}",
        "`heun-sde`, which draws noise: the same": f"{s['sampler_share']['heun-sde']:.1%}",
    }
    return "\n".join(["| | |", "|---|--:|", *(f"| {name} | {value} |" for name, value in rows.items())])


def operators() -> str:
    rows = result("step")["time_by_operator"]
    return "\n".join(
        ["| operator | share |", "|---|--:|", *(f"| {name} | {share:.1%} |" for name, share in rows.items())]
    )


def operator() -> str:
    lines = ["| layout | native | function | PyTorch eager | native over function |", "|---|--:|--:|--:|--:|"]
    for name, entry in result("operator")["layouts"].items():
        times = (entry["seconds"][key]["median"] for key in ("native", "function", "torch_eager"))
        shown = " | ".join(f"{1e3 * seconds:.2f} ms" for seconds in times)
        lines.append(f"| {name} | {shown} | {entry['native_over_function']:.1f}x |")
    return "\n".join(lines)


def build() -> str:
    b = result("build")
    return "\n".join(
        [
            "| model | with | time | processor time | peak memory | engines |",
            "|---|---|--:|--:|--:|--:|",
            f"| XL/2, float16, plugin as a library | {b['tensorrt']} | {b['seconds']['median']:.1f} s "
            f"| {b['cpu_seconds']['median']:.1f} s | {b['peak_bytes'] / 1e9:.2f} GB "
            f"| {sum(b['engine_bytes'].values()) / 1e9:.2f} GB |",
        ]
    )


def threads() -> str:
    lines = ["| sessions run | two threads over one batch of two | one picture over fdcn's |", "|---|--:|--:|"]
    for name, ratios in result("threads")["ratios"].items():
        pair, alone = ratios["two threads over one batch of two"], ratios["one picture over that as fdcn"]
        lines.append(f"| {'in turns, on every core: fdcn' if name == 'as fdcn' else name} | {pair:.2f} | {alone:.2f} |")
    return "\n".join(lines)


def start() -> str:
    seconds = result("start")["seconds"]
    lines = [f"| {name} | {1e3 * entry['median']:.0f} ms |" for name, entry in seconds.items()]
    return "\n".join(["| | median |", "|---|--:|", *lines])


def cpp() -> str:
    """The C++ library beside the package."""
    c = result("cpp")
    runtimes = ("C++", "Python")
    times = {
        "from load to the shipped model's first picture": [c["start"][name]["load to picture"] for name in runtimes],
        "the same with the process's own start": [c["start"][name]["process to picture"] for name in runtimes],
        "a picture of the shipped model, 10 evaluations": [c["picture"]["shipped"][name] for name in runtimes],
        "a picture of S/2 at 256 px, 2 evaluations": [c["picture"]["S/2"][name] for name in runtimes],
    }
    lines = ["| | C++ | Python | C++ over Python |", "|---|--:|--:|--:|"]
    for name, pair in times.items():
        mine, theirs = (entry["median"] for entry in pair)
        lines.append(f"| {name} | {1e3 * mine:.0f} ms | {1e3 * theirs:.0f} ms | {mine / theirs:.3f} |")
    for name, key in (
        (f"resident after {c['resident']['settled_after']} requests", "settled"),
        ("at their end", "end"),
    ):
        mine, theirs = (c["resident"][runtime][key] for runtime in runtimes)
        lines.append(f"| {name} | {mine / 1e6:.0f} MB | {theirs / 1e6:.0f} MB | {mine / theirs:.3f} |")
    bare, whole = (c["library_bytes"][name] for name in ("without backends", "with ONNX Runtime"))
    return "\n".join(
        [*lines, "", f"libfdcn.so has {bare / 1e6:.2f} MB without backends, {whole / 1e6:.2f} MB with one."]
    )


def export() -> str:
    lines = ["| model | time | peak memory | over the checkpoint's bytes |", "|---|--:|--:|--:|"]
    for name, m in result("export")["models"].items():
        lines.append(
            f"| {name} | {m['seconds']:.0f} s | {m['peak_bytes'] / 1e9:.1f} GB | {m['peak_over_weights']:.2f} |"
        )
    return "\n".join(lines)


def gpus() -> str:
    """What `fdcn bench` said on GPUs."""
    return _benched([report for report in contributed.read().values() if report.machine["gpu"]], "a GPU")


def cpus() -> str:
    """What it said where there was none."""
    return _benched([report for report in contributed.read().values() if not report.machine["gpu"]], "a CPU")


def _benched(reports: list[Report], where: str) -> str:
    if not reports:
        return f"Not yet measured on {where}."
    lines = [
        "| machine | model | engine | size | pictures | evaluation | of the limit | from label to file | a second |",
        "|---|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for report in reports:
        m, numbers = report.machine, report.model["architecture"]
        machine = m["gpu"]["name"] if m["gpu"] else f"{m['cores']} cores of {m['processor']}"
        whole = [[row for row in report.rows if row.what == what] for what in (NETWORK, PICTURE)]
        for network, picture in zip(*whole, strict=True):
            cells = (
                machine,
                f"{report.model['family']} {numbers['blocks']}x{numbers['hidden']}",
                network.engine,
                network.size,
                network.batch,
                duration(network.seconds.p50),
                reached(network, report.limit(network))[-1],
                f"{duration(picture.seconds.p50)} ({picture.steps} evaluations)",
                f"{picture.pictures_per_second:.3g}",
            )
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


TABLES: dict[str, Callable[[], str]] = {
    f.__name__: f
    for f in (
        *(quality, step, around, operators, operator, threads, build, start, cpp, export, gpus, cpus),
        *(int8, int8_operators, calibrate, fp8, serving),
    )
}


def filled(text: str) -> str:
    """A document with every table made anew."""

    def table(match: re.Match[str]) -> str:
        return f"<!-- table: {match[1]} -->\n{TABLES[match[1]]()}\n<!-- end -->"

    return re.sub(r"<!-- table: (\w+) -->\n.*?<!-- end -->", table, text, flags=re.DOTALL)


def draw(path: Path) -> None:
    """The shipped checkpoint's classes at three sizes: the grids that `fdcn run` makes, on one sheet."""
    with tempfile.TemporaryDirectory() as folder:
        export_bundle(CHECKPOINT, folder)
        pipe = Pipeline(build_onnxruntime(Bundle.open(folder)))
        square, wide, high = (_sheet(pipe(size=size)) for size in SIZES)
    picture = Image.new("RGB", (square.width + high.width, max(square.height + wide.height, high.height)), "white")
    picture.paste(square, (0, 0))
    picture.paste(wide, (0, square.height))
    picture.paste(high, (square.width, 0))
    picture.convert("L").save(path, optimize=True)  # garments are gray


def _sheet(images: Images) -> Image.Image:
    return grid([to_image(pixels) for pixels in images.pixels], images.names)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--picture", action="store_true", help="draw docs/garments.png too")
    if parser.parse_args().picture:
        draw(ROOT / "docs" / "garments.png")
    for name in DOCUMENTS:
        path = ROOT / name
        path.write_text(filled(path.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
