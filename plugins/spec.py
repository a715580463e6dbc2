"""The contract of `fdcn::MultiScaleDCN`, version 1: every implementation takes its names and numbers from here.

With T one of float32, float16, bfloat16:

| tensor | shape | meaning |
|---|---|---|
| projection, T | [N, H, W, G·C + G·K·4] | values [G][C], then taps [G][K][4] as (dx, dy, s, a) |
| prior, float32 | [K, 2] | the grid the taps start from, as (x, y), x fastest |
| s_max, float32 | [N, 2] | reach in token pixels as (x, y), one row an image |
| out, T | [N, H, W, G·C] | |

Everything between reading and writing T is float32 (FlowDCN, arXiv 2410.22655, section 3.2):

    offset = (d + prior_k) · sigmoid(s) · s_max
    p      = (column, row) + offset
    i      = trunc(p)                                  toward zero, not floor
    out_g  = Σ_k a_k · Σ_corners w · v_g[corner]       corners i, i + 1; weights (i + 1 - p), (p - i)

A corner outside the grid contributes 0, by selection and never by multiplying with a mask. A tap contributes
exactly 0 unless -2 < p_x < W and -2 < p_y < H; that test comes before any conversion to an integer, so NaN and
infinite positions are safe. A non-finite value or weight of a tap that passes it propagates. Taps with p in
(-2, 0) extrapolate, with a negative weight below -1: that is what FlowDCN's weights were trained with.
"""

DOMAIN = "fdcn"
"""ONNX node domain and TensorRT plugin namespace."""
NAME = "MultiScaleDCN"
VERSION = 1
"""Version of the operator set in `DOMAIN`, and of the TensorRT plugin."""

TORCH_NAME = "fdcn::multi_scale_dcn"

INPUTS = ("projection", "prior", "s_max")
OUTPUT = "out"
DTYPES = ("float32", "float16", "bfloat16")
"""What T may be; prior and s_max are always float32."""

TAP_FIELDS = ("dx", "dy", "s", "a")
"""Order of the numbers of one tap: direction residual x and y, scale logit, weight."""

ATTRIBUTES = ("groups", "taps")
"""Integer attributes of a node, G and K; the rest follows from the shapes."""

LOWER_BOUND = -2
"""A tap at or below this position, on either axis, contributes nothing."""

PLUGIN_ATTRIBUTES = {"plugin_namespace": DOMAIN, "plugin_version": str(VERSION)}
"""Extra node attributes: TensorRT finds the plugin by them."""


def projection_width(groups: int, channels: int, taps: int) -> int:
    """Width of the projection's last axis: `channels` values and `taps` taps for each of `groups` groups."""
    return groups * (channels + taps * len(TAP_FIELDS))


def value_width(width: int, groups: int, taps: int) -> int:
    """Width G·C of the values in a projection that is `width` wide.

    Raises ValueError where no whole, positive number of channels a group fits.
    """
    values = width - groups * taps * len(TAP_FIELDS)
    if groups < 1 or taps < 1 or values < groups or values % groups:
        raise ValueError(f"a projection {width} wide cannot hold {groups} groups of {taps} taps and equal values")
    return values
