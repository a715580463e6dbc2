"""Which products stay in high precision: the first, the last, those asked for, and as many as a budget demands."""

import dataclasses
import fnmatch
import math
import re
from collections.abc import Callable, Sequence

from fdcn.errors import FdcnError

AUTO, NONE = "auto", "none"
_BUDGET = re.compile(r"(\d+(?:\.\d+)?)\s*(dB|x)", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Budget:
    """What `keep` auto must hold."""

    least: float
    speed: bool
    """Whether `least` is how many times as fast as float32, else the PSNR of the network's output in dB."""


def budget(text: str) -> Budget:
    """Read "30dB" or "1.5x". Raises FdcnError for anything else."""
    match = _BUDGET.fullmatch(text.strip())
    if match is None or not float(match[1]):
        raise FdcnError(
            f"{text!r} is no budget; give a PSNR, as --budget 40dB, or a speed over float32, as --budget 1.5x"
        )
    return Budget(float(match[1]), match[2].lower() == "x")


def ends(products: Sequence[str]) -> dict[str, str]:
    """The first and the last product of a network, with why they are kept: everything that it sees or says is there."""
    return {products[0]: "the first", products[-1]: "the last"}


def listed(products: Sequence[str], keep: str) -> dict[str, str]:
    """The products that a list of names and globs means, with the reason. Raises FdcnError where one means none."""
    found: dict[str, str] = {}
    if keep in (AUTO, NONE):
        return found
    patterns = [pattern for part in keep.split(",") if (pattern := part.strip())]
    if not patterns:
        raise FdcnError("--keep names nothing; give auto, none, or names and globs with commas between")
    for pattern in patterns:
        matches = fnmatch.filter(products, pattern)
        if not matches:
            raise FdcnError(
                f"--keep {pattern} is none of the network's products; there are {len(products)}, such as "
                f"{', '.join(products[:4])}; globs as blocks.*.out work too"
            )
        found |= dict.fromkeys(matches, "asked for")
    return found


def fewest(ranked: int, holds: Callable[[int], bool]) -> int | None:
    """The smallest n for which it holds that the n most sensitive of `ranked` products are kept, by bisection; None
    where it does not even hold for all but one."""
    if holds(0):
        return 0
    low, high = 0, ranked  # it does not hold for low; for high nothing is quantised
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high if high < ranked else None


def most(ranked: int, holds: Callable[[int], bool]) -> int | None:
    """The largest n for which it holds that the n most sensitive of `ranked` products are kept, by bisection; None
    where it does not hold for 0."""
    if not holds(0):
        return None
    low, high = 0, ranked
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def ranking(noises: dict[str, float]) -> list[str]:
    """Products from the most sensitive to the least; those of equal noise stay in the network's order."""
    return sorted(noises, key=lambda name: -noises[name] if math.isfinite(noises[name]) else -math.inf)
