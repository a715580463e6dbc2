"""MultiScaleDCN's body of standard ONNX operators: the exported file runs in any ONNX runtime.

How it keeps memory and time down: values lie in a grid with a halo of zeros, so that every corner of an inside tap is
a cell and corners need no tests; a tap outside is sent to a corner of the halo that is zero all around, by selection;
indices are one int32 a corner, shared by the group's channels; a few taps are gathered at a time.
"""

import onnx
import onnx.parser

from fdcn.plugins import spec

OPSET = 20
TAPS_AT_ONCE = 3
"""Taps gathered together: fewer hold less memory, more make fewer and larger operators."""

# N, H, W, G, K, C and the like are sizes as one-element vectors; a trailing s makes a scalar of one.
_SIZES = """
  zero = Constant <value_ints = [0]> ()
  one = Constant <value_ints = [1]> ()
  two = Constant <value_ints = [2]> ()
  three = Constant <value_ints = [3]> ()
  four = Constant <value_ints = [4]> ()
  last = Constant <value_ints = [-1]> ()
  zero_s = Constant <value_int = 0> ()
  one_s = Constant <value_int = 1> ()
  G = Constant <value_ints = [{groups}]> ()
  K = Constant <value_ints = [{taps}]> ()
  N = Shape <start = 0, end = 1> (projection)
  H = Shape <start = 1, end = 2> (projection)
  W = Shape <start = 2, end = 3> (projection)
  width = Shape <start = 3, end = 4> (projection)
  GK = Mul(G, K)
  tap_width = Mul(GK, four)
  GC = Sub(width, tap_width)
  C = Div(GC, G)
  Ns = Squeeze(N)
  Hs = Squeeze(H)
  Ws = Squeeze(W)
  Gs = Squeeze(G)
  Hf = Cast <to = 1> (Hs)
  Wf = Cast <to = 1> (Ws)
  projected = Cast <to = 1> (projection)
"""

# x, y and a as [1, N, H, W, G, K]: one plane a number, so that the arithmetic runs over contiguous memory.
_POSITIONS = """
  bound = Constant <value_float = {bound}> ()
  fzero = Constant <value_float = 0.0> ()
  fone = Constant <value_float = 1.0> ()
  on_n = Constant <value_ints = [1, -1, 1, 1, 1, 1]> ()
  on_row = Constant <value_ints = [1, 1, -1, 1, 1, 1]> ()
  on_column = Constant <value_ints = [1, 1, 1, -1, 1, 1]> ()
  on_g = Constant <value_ints = [1, 1, 1, 1, -1, 1]> ()
  tap_numbers = Slice(projected, GC, width, last)
  tap_shape = Concat <axis = 0> (N, H, W, G, K, four)
  tap = Reshape(tap_numbers, tap_shape)
  planes = Transpose <perm = [5, 0, 1, 2, 3, 4]> (tap)
  dx, dy, s, a_any = Split <axis = 0, num_outputs = 4> (planes)
  prior_x2, prior_y2 = Split <axis = 1, num_outputs = 2> (prior)
  prior_x = Squeeze(prior_x2, one)
  prior_y = Squeeze(prior_y2, one)
  reach_x2, reach_y2 = Split <axis = 1, num_outputs = 2> (s_max)
  reach_x = Reshape(reach_x2, on_n)
  reach_y = Reshape(reach_y2, on_n)
  rows = Range(zero_s, Hs, one_s)
  columns = Range(zero_s, Ws, one_s)
  rows_f = Cast <to = 1> (rows)
  columns_f = Cast <to = 1> (columns)
  row = Reshape(rows_f, on_row)
  column = Reshape(columns_f, on_column)
  scale = Sigmoid(s)
  direction_x = Add(dx, prior_x)
  direction_y = Add(dy, prior_y)
  scaled_x = Mul(direction_x, scale)
  scaled_y = Mul(direction_y, scale)
  offset_x = Mul(scaled_x, reach_x)
  offset_y = Mul(scaled_y, reach_y)
  x_any = Add(offset_x, column)
  y_any = Add(offset_y, row)
"""

# A comparison with NaN is false, so NaN is outside; only then are positions made integers. Cast truncates.
_SELECTION = """
  right_of = Greater(x_any, bound)
  left_of = Less(x_any, Wf)
  below = Greater(y_any, bound)
  above = Less(y_any, Hf)
  inside_x = And(right_of, left_of)
  inside_y = And(below, above)
  inside = And(inside_x, inside_y)
  x = Where(inside, x_any, fzero)
  y = Where(inside, y_any, Hf)
  a = Where(inside, a_any, fzero)
  x0 = Cast <to = 6> (x)
  y0 = Cast <to = 6> (y)
"""

# Weights of the corners (0, 0), (0, 1), (1, 0), (1, 1) as (row, column): [N, H, W, G, K, 4].
_WEIGHTS = """
  x0_f = Cast <to = 1> (x0)
  y0_f = Cast <to = 1> (y0)
  right = Sub(x, x0_f)
  lower = Sub(y, y0_f)
  left = Sub(fone, right)
  upper = Sub(fone, lower)
  a_upper = Mul(a, upper)
  a_lower = Mul(a, lower)
  w_00 = Mul(a_upper, left)
  w_01 = Mul(a_upper, right)
  w_10 = Mul(a_lower, left)
  w_11 = Mul(a_lower, right)
  corner_shape = Concat <axis = 0> (N, H, W, G, K, one)
  w_00c = Reshape(w_00, corner_shape)
  w_01c = Reshape(w_01, corner_shape)
  w_10c = Reshape(w_10, corner_shape)
  w_11c = Reshape(w_11, corner_shape)
  weight = Concat <axis = -1> (w_00c, w_01c, w_10c, w_11c)
"""

# One row and column of zeros before the values, one column and two rows after: a tap outside goes to row H, whose
# own cells and those below are zero. Cells are [N·(H + 3)·(W + 2)·G, C]; the index of each tap's four is int32.
_CELLS = """
  values = Slice(projected, zero, GC, last)
  value_shape = Concat <axis = 0> (N, H, W, G, C)
  value = Reshape(values, value_shape)
  halo = Constant <value_ints = [0, 1, 1, 0, 0, 0, 2, 1, 0, 0]> ()
  padded = Pad(value, halo)
  cell_shape = Concat <axis = 0> (last, C)
  cells = Reshape(padded, cell_shape)
  padded_W = Add(W, two)
  padded_H = Add(H, three)
  row_stride = Mul(padded_W, G)
  image_stride = Mul(padded_H, row_stride)
  row_stride_i = Cast <to = 6> (row_stride)
  G_i = Cast <to = 6> (G)
  from_y = Mul(y0, row_stride_i)
  from_x = Mul(x0, G_i)
  in_image = Add(from_y, from_x)
  images = Range(zero_s, Ns, one_s)
  groups = Range(zero_s, Gs, one_s)
  image = Reshape(images, on_n)
  group = Reshape(groups, on_g)
  image_start = Mul(image, image_stride)
  origin = Add(row_stride, G)
  group_start = Add(group, origin)
  start = Add(image_start, group_start)
  start_i = Cast <to = 6> (start)
  first = Add(in_image, start_i)
  first_c = Reshape(first, corner_shape)
  steps = Concat <axis = 0> (zero, G, row_stride, origin)
  steps_i = Cast <to = 6> (steps)
  index = Add(first_c, steps_i)
"""

_SUM_OF_SOME = """
  corners_{i} = Constant <value_ints = [{corners}]> ()
  sample_shape_{i} = Concat <axis = 0> (last, corners_{i}, C)
  weight_shape_{i} = Concat <axis = 0> (last, one, corners_{i})
  gathered_{i} = Gather <axis = 0> (cells, index_{i})
  sample_{i} = Reshape(gathered_{i}, sample_shape_{i})
  row_of_weights_{i} = Reshape(weight_{i}, weight_shape_{i})
  sum_{i} = MatMul(row_of_weights_{i}, sample_{i})
"""

_OUTPUT = """
  out_shape = Concat <axis = 0> (N, H, W, GC)
  out_f = Reshape({total}, out_shape)
  out = CastLike(out_f, projection)
"""


def function(groups: int, taps: int) -> onnx.FunctionProto:
    """The body for one layout: `groups` and `taps` are built in, C, N, H and W are read off the projection.

    It takes a node's attributes without looking at them, and serves up to 2³¹ cells N·(H + 3)·(W + 2)·G.
    """
    parts = [
        _SIZES.format(groups=groups, taps=taps),
        _POSITIONS.format(bound=float(spec.LOWER_BOUND)),
        _SELECTION,
        _WEIGHTS,
        _CELLS,
        *_sums(taps),
    ]
    attributes = ", ".join(("groups", "taps", *spec.PLUGIN_ATTRIBUTES))
    return onnx.parser.parse_function(
        f'<domain: "{spec.DOMAIN}", opset_import: ["" : {OPSET}]>\n'
        f"{spec.NAME} <{attributes}> ({', '.join(spec.INPUTS)}) => ({spec.OUTPUT})\n{{{''.join(parts)}}}"
    )


def _sums(taps: int) -> list[str]:
    """Gather and weigh the taps, `TAPS_AT_ONCE` at a time, and add up."""
    sizes = [min(TAPS_AT_ONCE, taps - k) for k in range(0, taps, TAPS_AT_ONCE)]
    numbers = range(len(sizes))
    split = [f"  sizes = Constant <value_ints = {sizes}> ()\n"] + [
        f"  {', '.join(f'{name}_{i}' for i in numbers)} = Split <axis = 4> ({name}, sizes)\n"
        for name in ("index", "weight")
    ]
    sums = [_SUM_OF_SOME.format(i=i, corners=4 * size) for i, size in enumerate(sizes)]
    totals = ["sum_0"]
    for i in numbers[1:]:
        totals.append(f"total_{i}")
        sums.append(f"  total_{i} = Add({totals[-2]}, sum_{i})\n")
    return [*split, *sums, _OUTPUT.format(total=totals[-1])]
