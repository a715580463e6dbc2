"""The report page's pictures: the reference's beside each candidate's, and what differs."""

import base64
import html
import io

import numpy as np

from fdcn.runtime.images import to_image
from fdcn.verify.report import Album, Report
from fdcn.verify.table import number

PICTURES_AT_MOST = 12
"""Of a size: a page is read, and sent."""
AMPLIFIED = 4
"""Times the difference."""
NARROWEST, WIDEST = 84, 256
"""Of a picture on the page, in its pixels."""


def section(report: Report) -> str:
    """Pictures of each size, a row of them for each label and seed."""
    parts = [
        "<h2>Pictures</h2>",
        f"<p>Each contender's own, of the same labels and seeds. Differences are {AMPLIFIED} times as large as they "
        "are, and grey where there is none.</p>",
    ]
    for album in report.albums:
        parts.append(f"<h3>{album.size}</h3>")
        parts += [_row(report, album, i) for i in range(min(len(album.names), PICTURES_AT_MOST))]
        if len(album.names) > PICTURES_AT_MOST:
            parts.append(f'<p class="soft">The first {PICTURES_AT_MOST} of {len(album.names)}.</p>')
    return "\n".join(parts)


def _row(report: Report, album: Album, index: int) -> str:
    what = f"{album.names[index]}, seed {album.seeds[index]}"
    name = report.reference.name
    wanted = album.pictures[name][index]
    figures = [_figure(wanted, what, name)]
    for compared in report.candidates:
        name = compared.side.name
        if name not in album.pictures:
            figures.append(f"<figure><figcaption>{_e(name)}: its numbers are not finite</figcaption></figure>")
            continue
        got = album.pictures[name][index]
        figures += [_figure(got, what, f"{name}, {_level(report, album, name, index)}")]
        figures += [_figure(_difference(wanted, got), what, "difference")]
    return f'<div class="row"><strong>{_e(what)}</strong>{"".join(figures)}</div>'


def _level(report: Report, album: Album, candidate: str, index: int) -> str:
    """The PSNR of one picture, as the rung has it: its rows are in the album's order."""
    rung = next(compared for compared in report.candidates if compared.side.name == candidate).rung("picture")
    rows = [row for row in rung.rows if row.at["size"] == album.size] if rung else []
    return number("psnr", rows[index].values["psnr"])


def _difference(wanted: np.ndarray, got: np.ndarray) -> np.ndarray:
    """uint8, like the pictures: grey, and brighter or darker where the second is."""
    levels = 128 + AMPLIFIED * (got.astype(np.int32) - wanted)
    return np.clip(levels, 0, 255).astype(np.uint8)


def _figure(pixels: np.ndarray, what: str, caption: str) -> str:
    height, width = pixels.shape[:2]
    scale = max(1, NARROWEST // width)
    shown = min(width * scale, WIDEST)
    file = io.BytesIO()
    to_image(pixels).save(file, "PNG", optimize=True)
    source = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
    pixelated = ' class="pixels"' if scale > 1 else ""
    size = f'width="{shown}" height="{round(height * shown / width)}"'
    image = f'<img{pixelated} {size} alt="{_e(f"{what}: {caption}")}" src="{source}">'
    return f"<figure>{image}<figcaption>{_e(caption)}</figcaption></figure>"


def _e(text: str) -> str:
    return html.escape(text)
