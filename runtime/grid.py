"""Several pictures on one sheet, each with its caption."""

import math

from PIL import Image, ImageDraw, ImageFont

CELL_AT_LEAST = 112
"""Small pictures are enlarged, pixel by pixel, until their width is about this: captions must fit under them."""
GAP = 8
FONT_SIZE = 12
PAPER, INK = (255, 255, 255), (40, 40, 40)
EMPTY_COUNTS = 5.0
SHEET_ASPECT = 1.6
"""Width over height that the sheet comes close to."""


def grid(pictures: list[Image.Image], captions: list[str]) -> Image.Image:
    """Lay out pictures of one size in rows, in order, with a caption under each; RGB."""
    scale = max(1, round(CELL_AT_LEAST / pictures[0].width))
    width, height = pictures[0].width * scale, pictures[0].height * scale
    font = ImageFont.load_default(FONT_SIZE)
    caption = 2 * FONT_SIZE
    cell = (max(width, CELL_AT_LEAST) + GAP, height + caption + GAP)
    columns = min(range(1, len(pictures) + 1), key=lambda c: _ugliness(len(pictures), c, cell))
    rows = math.ceil(len(pictures) / columns)
    sheet = Image.new("RGB", (columns * cell[0] + GAP, rows * cell[1] + GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    for i, (picture, text) in enumerate(zip(pictures, captions, strict=True)):
        left, top = GAP + i % columns * cell[0], GAP + i // columns * cell[1]
        sheet.paste(picture.resize((width, height), Image.Resampling.NEAREST), (left, top))
        draw.text((left, top + height + 3), _fitted(text, font, cell[0] - GAP), fill=INK, font=font)
    return sheet


def _ugliness(pictures: int, columns: int, cell: tuple[int, int]) -> float:
    """How far a sheet is from the aspect it should have, and how much of it stays empty."""
    rows = math.ceil(pictures / columns)
    aspect = columns * cell[0] / (rows * cell[1])
    return abs(math.log(aspect / SHEET_ASPECT)) + EMPTY_COUNTS * (rows * columns / pictures - 1)


def _fitted(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """A caption cut to a width in pixels."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
