"""Results of `fdcn bench` from anybody's machine: what is in benchmarks/results, and whether it may be there.

python benchmarks/contributed.py bench-a10-xl2.json     # says what is wrong with a file, status 1 if anything
"""

import argparse
import re
import sys
from pathlib import Path

import machine

from fdcn.bench.report import NETWORK, Report, Row, load
from fdcn.errors import FdcnError
from fdcn.verify import limits

NAME = re.compile(r"bench-[a-z0-9]+(-[a-z0-9]+)*\.json")
"""Machine, then model: bench-a10-xl2.json."""
SAMPLES = 10
"""At least, of everything that was timed."""


def read(folder: Path = machine.RESULTS) -> dict[str, Report]:
    """Every result by the name of its file, sorted. Raises FdcnError for one that may not be there."""
    found = {}
    for path in sorted(folder.glob("bench-*.json")):
        if wrong := faults(path):
            raise FdcnError(f"{path.name}: {wrong[0]}")
        found[path.name] = load(path)
    return found


def faults(path: Path) -> list[str]:
    """What keeps a file from being shown beside others."""
    wrong = [] if NAME.fullmatch(path.name) else [f"it is not called bench-MACHINE-MODEL.json, but {path.name}"]
    try:
        report = load(path)
    except FdcnError as error:
        return [*wrong, str(error)]
    wrong += [f"something did not agree with the reference: {failure}" for failure in report.failures]
    wrong += [] if report.rows else ["it has no rows"]
    wrong += [] if report.limits else ["the machine's limits were not measured"]
    wrong += [f"{note}" for note in report.notes]
    return wrong + [
        f"{row.what} at {row.size}, batch {row.batch}: {why}" for row in report.rows for why in _faults(row)
    ]


def _faults(row: Row) -> list[str]:
    wrong = []
    if len(row.samples) < SAMPLES:
        wrong.append(f"{len(row.samples)} samples, {SAMPLES} are the least: measure with --repeats")
    table, name = (limits.NETWORK, "velocity_cosine") if row.what == NETWORK else (limits.PICTURE, "picture_psnr")
    if row.precision not in table:
        return [*wrong, f"the precision {row.precision!r} is unknown"]
    limit = table[row.precision]
    least = limit.cosine if row.what == NETWORK else limit.psnr
    if not row.check.get(name, float("nan")) >= least:
        wrong.append(f"its check says {row.check}, {name} of {least:g} is the least")
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path, help="results (default: those in benchmarks/results)")
    files = parser.parse_args().files or sorted(machine.RESULTS.glob("bench-*.json"))
    wrong = [f"{path}: {fault}" for path in files for fault in faults(path)]
    print("\n".join(wrong) or f"nothing wrong with {len(files)} results")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
