"""Texts as Python writes and reads them, from C++."""

import difflib
import hashlib
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fdcn.bundle import Manifest
from fdcn.errors import FdcnError
from fdcn.records import read_json
from fdcn.runtime import request
from fdcn.runtime.memory import format_bytes
from fdcn.sizes import parse_size

CHARACTERS = [chr(code) for code in range(1, sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
"""`read_json` takes no NUL, so that C can hold what it reads."""
PARITY = settings(max_examples=150, deadline=None)


@pytest.mark.parametrize("quotes", ["", "'", '"', "'\""])
def test_repr_of_every_character(parity, quotes):
    for start in range(0, len(CHARACTERS), 50_000):
        text = quotes + "".join(CHARACTERS[start : start + 50_000])
        assert parity("repr", text=text) == repr(text)


def test_casefold_of_every_character(parity):
    text = "".join(CHARACTERS)
    assert parity("casefold", text=text) == text.casefold()


NUMBERS = [
    0.0,
    -0.0,
    1.0,
    0.1,
    1e15,
    1e16,
    123456789012345678.0,
    1e22,
    1e-4,
    1e-5,
    5e-324,
    math.nan,
    math.inf,
    -math.inf,
    sys.float_info.max,
    sys.float_info.min,
    0.04,
    2 / 3,
    1e100,
    9007199254740993.0,
    1.5e300,
]


@pytest.mark.parametrize("number", NUMBERS)
def test_floats(parity, number):
    assert parity("str", number=number.hex() if math.isfinite(number) else str(number)) == str(number)


@PARITY
@given(st.floats())
def test_any_float(parity, number):
    assert parity("str", number=number.hex() if math.isfinite(number) else str(number)) == str(number)


@pytest.mark.parametrize("number", [0, 1, 99_950_000, 1e8 - 1, 1e8, 123_456_789, 4.5e12, 2**62, 49_999])
def test_bytes(parity, number):
    assert parity("format_bytes", number=float(number)) == format_bytes(number)


NUMERALS = st.text(
    st.sampled_from([*"0123456789_+- \t\n\x1c\x85.xe", "٣", "９", "　", "²", "Ⅷ", "\U0001d7d8"]), max_size=6
)


@PARITY
@given(NUMERALS | ANY_TEXT)
def test_int(parity, text):
    try:
        wanted = str(int(text))
    except ValueError:
        wanted = None
    assert parity("int", text=text) == wanted


@pytest.mark.parametrize("digits", [4299, 4300, 4301])
@pytest.mark.parametrize("form", ["{}", "-{}", " 0{}", "1_{}"])
def test_long_integers(parity, digits, form):
    text = form.format("7" * (digits - 1))
    try:
        wanted = str(int(text))
    except ValueError:
        wanted = None
    assert parity("int", text=text) == wanted


@PARITY
@given(st.text(st.sampled_from([*"0123456789xX× \t\n-+", "٣", "　"]), max_size=8) | ANY_TEXT)
def test_sizes(parity, text):
    try:
        wanted = list(parse_size(text))
    except ValueError as error:
        with pytest.raises(FdcnError) as refused:
            parity("size", text=text)
        assert str(refused.value) == str(error)
    else:
        assert parity("size", text=text) == wanted


@PARITY
@given(st.text("ab./", max_size=8), st.text("ab./", max_size=6))
def test_paths(parity, folder, name):
    assert parity("path", folder=folder, name=name) == str(Path(folder) / name)


def names(words):
    """A manifest's part that the search for names looks at."""
    manifest = object.__new__(Manifest)
    object.__setattr__(manifest, "class_names", words)
    return manifest


def nearest(word, words):
    """What Python says of the nearest names, without the words around them."""
    folded = {name.casefold(): name for name in words}
    near = difflib.get_close_matches(word.casefold(), folded, n=request.NEAREST, cutoff=request.CUTOFF)
    near += [name for name in folded if word.casefold() in name and name not in near]
    return ", ".join(repr(folded[name]) for name in near[: request.NEAREST])


WORDS = st.lists(st.text("abcdeßẞS k", min_size=1, max_size=8), max_size=12)


@PARITY
@given(st.text("abcdeßẞS k", max_size=8), WORDS)
def test_nearest_names(parity, word, words):
    assert parity("nearest", word=word, names=words) == nearest(word, words)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_nearest_names_of_long_words(parity, data):
    """From 200 characters on, difflib does not look for those that stand at more than one place in a hundred."""
    length = data.draw(st.integers(195, 320))
    alphabet = "".join(map(chr, range(97, 97 + data.draw(st.sampled_from([3, 60, 200])))))
    text = data.draw(st.text(alphabet, min_size=length, max_size=length))
    changed = list(text)
    for place in data.draw(st.lists(st.integers(0, length - 1), max_size=40)):
        changed[place] = data.draw(st.sampled_from(alphabet))
    words = ["".join(changed), text[: length // 2], text[length // 3 :], text[::-1]]
    assert parity("nearest", word=text, names=words) == nearest(text, words)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=12,
)


@PARITY
@given(JSON_VALUES, st.booleans())
def test_json(parity, value, ascii_only):
    assert_same_reading(parity, json.dumps(value, ensure_ascii=ascii_only).encode())


ODD_JSON = [
    "",
    " ",
    "{",
    "[1,]",
    "[1 2]",
    '{"a":1,}',
    "nul",
    "NaN",
    "-Infinity",
    "1e999",
    "-1e999",
    "1e-999",
    "01",
    "-",
    "1.",
    ".5",
    "+1",
    "1e",
    "0x10",
    "'a'",
    '"a',
    '"\t"',
    '"\x7f"',
    r'"\x41"',
    r'"\ud800"',
    r'"\udc00\ud800"',
    r'"\ud83d\ude00"',
    r'"\ud83dx"',
    r'"\u00e9"',
    r'"\u00E9\/"',
    "\ufeff{}",
    "{}\0",
    "{}\n\n",
    "[]]",
    "// a\n1",
    '{"a":1,"b":2,"a":3}',
    '{"a":{"x":1},"a":[2],"c":0,"a":null}',
    "-0",
    "-0.0",
    "1E5",
    "[0.1e+2]",
    "{1:2}",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "18446744073709551616",
    "1" * 308,
    "1" * 309,
    "-" + "9" * 400,
    "1" * 5000,
    "\u2028[]",
    '"\u2028"',
    "[\u00a01]",
    r'"a\u0000"',
    r'{"\u0000": 1}',
]
ODD_JSON += ["[" * depth + "]" * depth for depth in (199, 200, 201, 5000)]
ODD_JSON += ['{"a":' * depth + "1" + "}" * depth for depth in (200, 201)]


@pytest.mark.parametrize("text", ODD_JSON, ids=range(len(ODD_JSON)))
def test_what_is_json(parity, text):
    assert_same_reading(parity, text.encode())


@PARITY
@given(st.text('[]{}",:-+.eE01 \\u/truefalsn\n\0', max_size=14).map(str.encode) | st.binary(max_size=6))
def test_what_may_be_json(parity, content):
    assert_same_reading(parity, content)
    assert_same_reading(parity, b'"' + content + b'"')


def assert_same_reading(parity, content):
    """Both read bytes as the same value, or neither reads them."""
    try:
        value = read_json(content.decode())
    except ValueError:
        wanted = None
    else:
        wanted = [json.dumps(value), repr(value)]
    assert parity("json", bytes=content.hex()) == wanted


@pytest.mark.parametrize("size", [0, 1, 63, 64, (1 << 20) - 1, 1 << 20, (2 << 20) + 5])
def test_sha256(parity, tmp_path, size):
    content = np.random.default_rng(size).bytes(size)
    (tmp_path / "file").write_bytes(content)
    assert parity("sha256", path=str(tmp_path / "file")) == hashlib.sha256(content).hexdigest()
