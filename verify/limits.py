"""How close two backends must be: one table, by the coarser of their precisions."""

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a comparison must keep; what is not named is not checked. Numbers that are not finite never pass."""

    cosine: float = -math.inf
    """At least."""
    psnr: float = -math.inf
    """At least, in dB."""
    absolute: float = math.inf
    relative: float = math.inf
    """Every element is off by at most one of the two: by so much, or by so much of the reference's magnitude."""

    def named(self) -> dict[str, float]:
        """Those that are checked."""
        return {name: value for name, value in dataclasses.asdict(self).items() if math.isfinite(value)}


# Of the operator both sides compute in float32 and round once: half an ulp each, 2⁻¹¹ and 2⁻⁸ of the value, and a
# position near 64, an ulp of which is 4e-6, moves what it samples. In a network one rounding can send a tap over an
# edge at which the operator jumps, so that only the whole tensor's direction says something. Trajectories that run
# freely part for good where that happens early: one picture in twenty of the shipped model is at 27 dB in float16
# while the others are at 40 to 55, and a picture of another seed is at 10. Of quantised networks that is the rule:
# what they may cost in quality is the distribution's to say. The operator itself is never quantised.
OPERATOR = {
    "float32": Limits(absolute=1e-4, relative=1e-5),
    "float16": Limits(absolute=1e-4, relative=2.0**-10),
    "bfloat16": Limits(absolute=1e-4, relative=2.0**-7),
}
NETWORK = {
    "float32": Limits(cosine=0.999999),
    "float16": Limits(cosine=0.9999),
    "bfloat16": Limits(cosine=0.999),
    "int8": Limits(cosine=0.99),
    "fp8": Limits(cosine=0.99),
}
PICTURE = {
    "float32": Limits(psnr=40.0),
    "float16": Limits(psnr=20.0),
    "bfloat16": Limits(psnr=20.0),
    "int8": Limits(psnr=12.0),
    "fp8": Limits(psnr=12.0),
}
PRECISIONS = tuple(NETWORK)
"""From the finest to the coarsest."""


def coarser(a: str, b: str) -> str:
    """Of two precisions, the one with fewer bits."""
    return max(a, b, key=PRECISIONS.index)
