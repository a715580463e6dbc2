"""How good a bundle's pictures are: class accuracy, Fréchet distance, precision and recall against real ones.

    python benchmarks/quality.py evaluate --bundle fdcn-model --guidance 2    # the table in results/quality.json
    python benchmarks/quality.py classifier                                   # makes classifier.onnx and reference.npz

Several values of --guidance make a row each, at every size. The rows "real" and "halved" (to 14x14 and back) are of
real pictures: how good a number can be, and what losing half of the detail costs.
"""

import argparse
import dataclasses
import itertools
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import machine

import fdcn
from fdcn import cache
from fdcn.bundle import Bundle, replace_file
from fdcn.errors import FdcnError
from fdcn.sizes import format_size, parse_size
from fdcn.terminal import check_writable, progress_bar
from fdcn.verify import judged
from fdcn.verify.contenders import Contender, open_contender
from fdcn.verify.distribution import FEWEST_PICTURES
from fdcn.verify.judge import Reference
from fdcn.verify.judged import Judge

HERE = Path(__file__).resolve().parent


def main() -> None:
    files = argparse.ArgumentParser(add_help=False)
    files.add_argument("--classifier", type=Path, default=HERE / "classifier.onnx", metavar="FILE.onnx")
    files.add_argument("--reference", type=Path, default=HERE / "reference.npz", metavar="FILE.npz")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    evaluation = commands.add_parser("evaluate", parents=[files], help="score the pictures of a bundle")
    evaluation.add_argument("--bundle", default=fdcn.DEFAULT_BUNDLE, help="default: ./fdcn-model")
    evaluation.add_argument("--pictures", type=_enough, default=10_000, help="of each row (default: 10000)")
    evaluation.add_argument("--sizes", type=_size, nargs="+", metavar="WxH", help="default: the training size")
    evaluation.add_argument("--guidance", type=float, nargs="+", help="default: the bundle's")
    evaluation.add_argument("--solver", help="default: the bundle's")
    evaluation.add_argument("--steps", type=int, help="default: the bundle's")
    evaluation.add_argument("-o", "--output", type=Path, default=machine.RESULTS / "quality.json")
    making = commands.add_parser(
        "classifier", parents=[files], help="train the classifier on Fashion-MNIST, write both files"
    )
    making.add_argument("--data", type=Path, help="folder of Fashion-MNIST (default: Debian's)")
    args = parser.parse_args()
    try:
        (evaluate if args.command == "evaluate" else make_classifier)(args)
    except FdcnError as error:
        sys.exit(f"error: {error}")


def make_classifier(args: argparse.Namespace) -> None:
    """Train, write both files and say how real pictures score."""
    import classifier

    check_writable(args.classifier, args.reference)
    with progress_bar("training") as progress:
        made = classifier.make(args.classifier, args.reference, progress, args.data)
    print(f"accuracy on test pictures {made.about['test_accuracy']:.2%}")
    for row in real_rows(made):
        print(describe(row))


def evaluate(args: argparse.Namespace) -> None:
    """Generate and score every row, and write the table after each: an interrupted run goes on with what it has."""
    check_writable(args.output)
    bundle = Bundle.open(args.bundle)
    judge = judged.open_judge(bundle, args.classifier, args.reference, args.pictures, cache.folder())
    classifier, reference = judge.classifier, judge.reference
    manifest, defaults = bundle.manifest, bundle.manifest.sampling
    solver, steps = args.solver or defaults.solver, args.steps or defaults.steps
    rows = real_rows(reference)
    report: dict[str, Any] = {
        **machine.describe(["numpy", "onnxruntime"]),
        "bundle": {
            "weights_sha256": manifest.model.weights_sha256,
            "weights": manifest.model.weights,
            "parameters": manifest.model.parameters,
        },
        "judge": {
            "classifier_sha256": classifier.sha256,
            "test_accuracy": reference.about["test_accuracy"],
            "features": classifier.features,
            "reference_pictures": int(reference.class_counts.sum()),
        },
        "rows": rows,
    }
    for row in rows:
        print(describe(row))
    known = scored(args.output, report)
    sizes = args.sizes or [(manifest.train_size[0], manifest.train_size[1])]
    with tempfile.TemporaryDirectory() as folder:
        contender = open_contender(bundle, "auto", Path(folder))
        for size, guidance in itertools.product(sizes, args.guidance or [defaults.guidance]):
            sampling = {"size": list(size), "solver": solver, "steps": steps, "guidance": guidance, "seed": 0}
            named = {"name": "generated", **sampling, "size": format_size(size)}
            del named["seed"]
            wanted = {**named, "pictures": args.pictures}
            row = next((row for row in known if wanted.items() <= row.items()), None)
            if row is None:
                scores = generate(bundle, contender, judge, sampling)
                row = {**named, **scores, "backend": contender.backend.name}
            rows.append(row)
            print(describe(rows[-1]), flush=True)
            save(report, args.output)


def scored(path: Path, report: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows that a report already has, where it is of the same weights, judge and versions."""
    if not path.is_file():
        return []
    found: dict[str, Any] = json.loads(path.read_text())
    same = all(found[key] == report[key] for key in ("versions", "bundle", "judge"))
    return found["rows"] if same else []


def save(report: dict[str, Any], path: Path) -> None:
    """Write a report whole or not at all."""
    text = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
    replace_file(path, lambda file: file.write(text.encode()))


def generate(bundle: Bundle, contender: Contender, judge: Judge, sampling: dict[str, Any]) -> dict[str, Any]:
    """Score generated pictures, image i of class i mod classes and seed i, and how many came a second.

    `sampling` holds arguments of `Pipeline.__call__`. An interrupted run goes on where it was.
    """
    title = f"{format_size(sampling['size'])}, guidance {sampling['guidance']:g}"
    with progress_bar(title) as progress:
        found = judged.sample(bundle, contender, judge, sampling, progress)
    scores = judge.reference.score(found.logits, found.features, found.labels)
    return {**dataclasses.asdict(scores), "pictures_per_second": round(judge.pictures / found.seconds, 3)}


def real_rows(reference: Reference) -> list[dict[str, Any]]:
    """The rows that need no bundle."""
    return [{"name": name, **scores} for name, scores in reference.about["rows"].items()]


def describe(row: dict[str, Any]) -> str:
    """One line of the table."""
    what = f"{row['name']} {row['size']} guidance {row['guidance']:g}" if "size" in row else row["name"]
    return (
        f"{what:32} accuracy {row['accuracy']:7.2%}  Fréchet {row['frechet']:8.4f}  "
        f"precision {row['precision']:.3f}  recall {row['recall']:.3f}  ({row['pictures']} pictures)"
    )


def _enough(text: str) -> int:
    number = int(text)
    if number < FEWEST_PICTURES:
        raise argparse.ArgumentTypeError(f"{number} pictures say nothing: take at least {FEWEST_PICTURES}")
    return number


def _size(text: str) -> tuple[int, int]:
    try:
        return parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


if __name__ == "__main__":
    main()
