"""A report as one HTML file: tables, plots over the steps, and pictures side by side. It asks for no other file."""

import html
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from fdcn import __version__
from fdcn.bundle import Bundle, replace_file
from fdcn.verify import chart, page_pictures, page_tables
from fdcn.verify.chart import Bar, Line
from fdcn.verify.distribution import ACCURACY_LOST, FRECHET_GROWN
from fdcn.verify.page_style import STYLE
from fdcn.verify.report import Compared, Report, Row

SAME = 1e-16
"""What no difference is drawn at, on an axis of powers of ten."""
WORDS = {
    "cosine": "Of the angle between two velocities, as vectors of all their numbers: 1 where they point the same way.",
    "PSNR": "10·log₁₀(peak² / mean squared error), in dB. The peak is the largest magnitude of the reference's "
    "velocity, or white for a picture.",
    "class accuracy": "The share of pictures that the classifier takes for the class that was asked for.",
    "Fréchet distance": "How far the classifier's features of the pictures are from those of real ones, each taken for "
    "a Gaussian; 0 is the same.",
    "precision and recall": "The share of pictures that lie among the real ones, and of real ones that lie among the "
    "pictures: realism, and variety.",
    "interval": "Where a change lies with 95% confidence, over seeds. All contenders have the same seeds, so that what "
    "they have in common does not widen it.",
}


def save(report: Report, bundle: Bundle, path: Path) -> None:
    """Write the page. Raises FdcnError where that cannot be done."""
    text = render(report, bundle)
    replace_file(path, lambda file: file.write(text.encode()))


def render(report: Report, bundle: Bundle) -> str:
    """The page's text."""
    model = bundle.manifest.model
    title = f"{model.family}, {model.parameters:,} parameters: {_joined(c.side.name for c in report.candidates)}"
    parts = [
        f"<h1>{_e(title)}</h1>",
        f'<p class="soft">Beside {_e(report.reference.name)}; weights {report.weights_sha256[:12]}…; '
        f"fdcn {__version__}. {_e(_settings(report))}</p>",
        page_tables.summary(report),
        _distribution(report),
        _steps(report),
        page_pictures.section(report),
        "<h2>All numbers</h2>",
        *(page_tables.rungs(compared) for compared in report.candidates),
        "<h2>What ran</h2>",
        page_tables.contenders(report),
        "<h2>What the words mean</h2>",
        f"<dl>{''.join(f'<dt>{_e(word)}</dt><dd>{_e(meaning)}</dd>' for word, meaning in WORDS.items())}</dl>",
    ]
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    head += f"<title>{_e(title)}</title><style>{STYLE}</style>"
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>\n{chr(10).join(parts)}\n</body></html>\n'


def _distribution(report: Report) -> str:
    """How good many pictures are, and the changes with their intervals."""
    rung = report.candidates[0].rung("distribution")
    if rung is None:
        return ""
    parts = ["<h2>As good as the reference?</h2>", f"<p>{_e(rung.about)}.</p>"]
    for size in _sizes(rung.rows):
        accuracy, frechet = [], []
        for compared in report.candidates:
            rows = {row.at["metric"]: row.values for row in _rows(compared, "distribution", size)}
            a, f, name = rows["accuracy"], rows["frechet"], compared.side.name
            accuracy.append(Bar(name, *(100 * a[key] for key in ("change", "low", "high"))))
            frechet.append(Bar(name, *(100 * f[key] / f["reference"] for key in ("change", "low", "high"))))
        parts += [
            f"<h3>{size}</h3>",
            page_tables.distribution(report, size),
            '<div class="charts">',
            chart.bars("Change of class accuracy", accuracy, "points; more is better", -100 * ACCURACY_LOST),
            chart.bars("Change of Fréchet distance", frechet, "%; less is better", 100 * FRECHET_GROWN),
            "</div>",
        ]
    return "\n".join(parts)


def _steps(report: Report) -> str:
    """Cosine and PSNR of the velocity over the steps, a pair of plots a size."""
    parts = ["<h2>Step by step</h2>", "<p>The network's velocity, all asked the same at each step.</p>"]
    parts.append(_legend([compared.side.name for compared in report.candidates]))
    velocity = [compared.rung("velocity") for compared in report.candidates]
    limits = sorted({1 - rung.limits["cosine"] for rung in velocity if rung and "cosine" in rung.limits})
    for size in _sizes([row for rung in velocity if rung for row in rung.rows]):
        cosine, psnr = [], []
        for compared in report.candidates:
            rows = _rows(compared, "velocity", size)
            name = compared.side.name
            cosine.append(Line(name, [(row.at["step"], _distance(row.values["cosine"])) for row in rows]))
            psnr.append(Line(name, [(row.at["step"], row.values["psnr"]) for row in rows]))
        parts += [
            f'<h3>{size}</h3><div class="charts">',
            chart.lines("1 − cosine; the dotted line is the limit", cosine, "step", True, limits),
            chart.lines("PSNR in dB", psnr, "step"),
            "</div>",
        ]
    return "\n".join(parts)


def _distance(cosine: float) -> float:
    return max(1 - cosine, SAME) if math.isfinite(cosine) else math.nan


def _legend(names: Sequence[str]) -> str:
    items = []
    for i, name in enumerate(names):
        stroke = f'<path class="{chart.color(i)}" d="M0 5L32 5"/>'
        items.append(f'<li><svg viewBox="0 0 32 10" aria-hidden="true">{stroke}</svg>{_e(name)}</li>')
    return f'<ul class="legend">{"".join(items)}</ul>'


def _rows(compared: Compared, rung: str, size: str) -> list[Row]:
    found = compared.rung(rung)
    return [row for row in found.rows if row.at["size"] == size] if found else []


def _sizes(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(row.at["size"] for row in rows))


def _settings(report: Report) -> str:
    told = {name: value for name, value in report.settings.items() if name not in ("labels", "seeds", "sizes")}
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in told.items() if value is not None)


def _joined(names: Iterable[str]) -> str:
    return ", ".join(names)


def _e(text: str) -> str:
    return html.escape(text)
