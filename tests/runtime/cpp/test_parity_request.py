"""Requests: C++ completes them as Python does, or refuses them in the same words."""

import dataclasses
import json
import math
import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from whole_manifest import manifest

from fdcn.errors import FdcnError
from fdcn.runtime.pipeline import Pipeline
from fdcn.runtime.request import label_names, resolve
from fdcn.runtime.solvers import SOLVERS

PARITY = settings(max_examples=250, deadline=None)
NAMED = manifest()
UNNAMED = dataclasses.replace(NAMED, class_names=None)
FIXED = dataclasses.replace(NAMED, fixed_size=[250, 100])
PIXELS = dataclasses.replace(
    NAMED,
    pixel_factor=1,
    train_size=[28, 28],
    model=dataclasses.replace(NAMED.model, channels=1, blocks=9, classes=12),
    class_names=[f"name {chr(97 + i)}{'x' * i}" for i in range(12)],
)
MANIFESTS = [NAMED, UNNAMED, FIXED, PIXELS]


def through_python(m, options):
    """What Python makes of a request, as `parity` writes it."""
    options = dict(options)
    if "noise" in options:
        shape, value = options["noise"]
        with np.errstate(over="ignore"):
            options["noise"] = np.full(shape, value, np.float32)
    wanted = resolve(m, **options)
    pipeline = types.SimpleNamespace(bundle=types.SimpleNamespace(manifest=m), backend=None)
    with np.errstate(all="ignore"):
        Pipeline.plan(pipeline, wanted)
    scale, channels, interval = dataclasses.astuple(wanted.guidance)
    resolved = {
        "labels": list(wanted.labels),
        "seeds": [str(seed) for seed in wanted.seeds],
        "size": list(wanted.size),
        "latent": list(wanted.latent),
        "solver": wanted.solver,
        "steps": wanted.steps,
        "last_step": wanted.last_step,
        "guidance": [scale, channels == "3", *interval],
        "s_max_adjust": wanted.s_max_adjust,
        "noise": None if wanted.noise is None else list(wanted.noise.shape),
    }
    names = label_names(m, wanted.labels)
    return {"resolved": resolved, "names": names, "notes": Pipeline.notes(pipeline, wanted)}


def through_cpp(parity, m, options):
    """The same from C++: as JSON text, but for the numbers that JSON has none for, and noise."""
    beside = {}
    for name in ("guidance", "last_step"):
        if isinstance(options.get(name), float):
            beside[name] = options[name].hex()
    if "guidance_interval" in options:
        beside["interval"] = [float(end).hex() for end in options["guidance_interval"]]
    if "noise" in options:
        shape, value = options["noise"]
        beside["noise"] = {"shape": list(shape), "value": float(value).hex()}
    text = {name: value for name, value in options.items() if name not in (*beside, "guidance_interval")}
    return parity("resolve", manifest=m.to_json(), request=json.dumps(text), **beside)


def assert_same(parity, m, **options):
    """Both complete a request alike, or refuse it with one sentence, which is returned."""
    try:
        wanted = through_python(m, options)
    except FdcnError as error:
        with pytest.raises(FdcnError) as refused:
            through_cpp(parity, m, options)
        assert str(refused.value) == str(error)
        return str(error)
    assert through_cpp(parity, m, options) == wanted
    return None


@pytest.mark.parametrize("m", MANIFESTS, ids=["named", "unnamed", "fixed", "pixels"])
def test_defaults(parity, m):
    assert assert_same(parity, m) is None


LABELS = [
    "sneaker",
    "SNEAKER",
    "STRASSE",
    "strasse",
    "straße",
    "ÉTOILE \u200b7",
    3,
    "3",
    " 3 ",
    "1_0",
    "٣",
    "+2",
    "-0",
    "007",
    "Snaeker",
    "boot",
    "",
    "x",
    "5",
    5,
    -1,
    "-1",
    2**62,
    10**30,
    "1" * 4300,
    "1" * 4301,
    "shirt",
    "s",
    "a\nb'",
    "\u200b",
    "T-SHIRT/TOP",
    "ankle  boot",
    "sneakers" * 40,
    "²",
    "1e3",
    "0x1",
    "3.0",
]


@pytest.mark.parametrize("label", LABELS, ids=range(len(LABELS)))
def test_labels(parity, label):
    for m in (NAMED, UNNAMED, PIXELS):
        assert_same(parity, m, labels=[label])
        assert_same(parity, m, labels=[0, label], count=2)


@pytest.mark.parametrize(
    "names",
    [
        ["Bag", "bag", "BAG", "bags", "b"],
        ["ß", "SS", "ẞ", "ss", "s"],
        ["İ", "i̇", "ı", "I", "i"],
        ["0", "1", "2", "3", "4"],
        ["4", "3", "2", "1", "0"],
        ["", " ", "  ", "\t", "\n"],
    ],
)
def test_names_that_read_alike(parity, names):
    m = dataclasses.replace(NAMED, class_names=names)
    for label in (*names, "B", "ss", "sS", "i", "7", "", " 1 "):
        assert_same(parity, m, labels=[label])
    every = list(range(len(names)))
    assert_same(parity, m, labels=every)
    assert resolve(m, labels=label_names(m, every)).labels == tuple(every)


REFUSED = [
    {"count": 0},
    {"count": -(2**62)},
    {"count": 100_001, "labels": [0]},
    {"count": 2**62},
    {"labels": []},
    {"seeds": [1, 2], "labels": [0]},
    {"size": [0, 5]},
    {"size": [5, -1]},
    {"size": [10**9, 5]},
    {"size": [5, 2**62]},
    {"solver": "eulr"},
    {"solver": "euler"},
    {"solver": "euler", "steps": 0},
    {"steps": 4},
    {"steps": 10, "last_step": 0.1},
    {"solver": "euler", "steps": 5, "last_step": math.nan},
    {"guidance": math.nan},
    {"guidance": -math.inf},
    {"guidance_channels": "2"},
    {"guidance_channels": "it's"},
    {"guidance_interval": (0.8, 0.2)},
    {"guidance_interval": (math.nan, 1.0)},
    {"guidance_interval": (-0.1, 1e-9)},
    {"noise": ((1, 4, 3, 4), 0)},
    {"noise": ((1, 3, 4, 4), 0)},
    {"noise": ((0, 4, 4, 4), 0)},
    {"noise": ((1, 4, 4, 4), math.nan)},
    {"noise": ((1, 4, 4, 4), math.inf)},
    {"noise": ((3, 4, 4, 4), 0)},
    {"noise": ((2, 4, 4, 4), 0), "labels": [0, 1, 2]},
    {"noise": ((1, 4, 4, 8), 0), "labels": [0], "size": [40, 40]},
    {"noise": ((1, 4, 4, 8), 0), "labels": [0], "size": [-40, 2**62]},
    {"noise": ((100_001, 4, 2, 2), 0), "labels": [0]},
]


@pytest.mark.parametrize("options", REFUSED, ids=range(len(REFUSED)))
def test_impossible_requests(parity, options):
    assert assert_same(parity, NAMED, **options)


@pytest.mark.parametrize("size", [[250, 100], [256, 112], [241, 97], [240, 100], [257, 112], [250, 113]])
def test_sizes_of_a_bundle_with_one(parity, size):
    refused = assert_same(parity, FIXED, size=size)
    assert (refused is None) == (size in ([250, 100], [256, 112], [241, 97]))


@pytest.mark.parametrize("size", [None, [64, 32], [63, 17], [49, 32], [48, 32], [64, 33]])
def test_sizes_of_noise(parity, size):
    options = {"noise": ((2, 4, 4, 8), 0.5), "labels": [3]} | ({"size": size} if size else {})
    assert_same(parity, NAMED, **options)


def test_seeds_are_taken_modulo_two_to_the_sixty_four(parity):
    for seed in (0, -1, 2**63, 2**64 - 1, 2**64, 2**64 + 5, -(2**64) - 1, 10**30, -(10**30)):
        assert assert_same(parity, NAMED, labels=[0, 1], seed=seed) is None
        assert assert_same(parity, NAMED, labels=[0, 1], seeds=[seed, 7]) is None


def test_sizes_are_given_as_text_too(parity):
    as_text = parity("resolve", manifest=NAMED.to_json(), request='{"size": " 512 × 256 "}')
    assert as_text == through_cpp(parity, NAMED, {"size": [512, 256]})


def option(**strategies):
    """Any of these options, each there or not."""
    return st.fixed_dictionaries({}, optional=strategies)


WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
LABEL = st.integers(-2, 14) | st.integers() | WORDS | st.sampled_from([*NAMED.class_names, *PIXELS.class_names])
ANY_FLOAT = st.floats() | st.floats(0, 1) | st.integers(-3, 3).map(float)
OPTIONS = option(
    labels=st.lists(LABEL, min_size=1, max_size=3),
    count=st.integers(1, 3) | st.integers(-(2**63), 2**63 - 1),
    size=st.lists(st.integers(1, 600) | st.integers(-(2**63), 2**63 - 1), min_size=2, max_size=2),
    seed=st.integers(),
    seeds=st.lists(st.integers(), min_size=1, max_size=5),
    solver=st.sampled_from(SOLVERS) | WORDS,
    steps=st.integers(1, 15) | st.integers(-(2**63), 2**63 - 1).filter(lambda n: not 50 < n <= 10_000),
    last_step=ANY_FLOAT,
    guidance=ANY_FLOAT,
    guidance_channels=st.sampled_from(["all", "3"]) | WORDS,
    guidance_interval=st.tuples(ANY_FLOAT, ANY_FLOAT),
    s_max_adjust=st.booleans(),
    noise=st.tuples(st.tuples(*[st.integers(0, 4)] * 2, *[st.integers(0, 6)] * 2), ANY_FLOAT),
)


@PARITY
@given(st.sampled_from(MANIFESTS), OPTIONS)
def test_any_request(parity, m, options):
    assert_same(parity, m, **options)


POSSIBLE = option(
    labels=st.lists(st.integers(0, 4) | st.sampled_from(["0", " 4 ", "٣"]), min_size=1, max_size=3),
    count=st.integers(1, 3),
    size=st.lists(st.integers(1, 2000), min_size=2, max_size=2),
    seed=st.integers(0, 2**64 - 1),
    guidance=st.floats(-50, 50),
    guidance_channels=st.sampled_from(["all", "3"]),
    guidance_interval=st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted).map(tuple),
    s_max_adjust=st.booleans(),
)


@PARITY
@given(st.sampled_from([NAMED, UNNAMED, PIXELS]), POSSIBLE, st.sampled_from(SOLVERS))
def test_any_possible_request(parity, m, options, solver):
    assert assert_same(parity, m, solver=solver, steps=5, **options) is None


def refusal(parity, text):
    """What C++ says of a request that only a program in another language writes as text."""
    with pytest.raises(FdcnError) as refused:
        parity("resolve", manifest=NAMED.to_json(), request=text)
    return str(refused.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the request cannot be read (it is not JSON text)"),
        ("[" * 100_000, "the request cannot be read (it is not JSON text)"),
        ("[]", "the request cannot be read (request is not an object)"),
        ('{"step": 5}', "a request has no 'step'; the nearest are 'steps', 'last_step'"),
        ('{"Guidance": 5}', "a request has no 'Guidance'; the nearest are 'guidance', 'guidance_interval', "),
        ('{"µ": 5}', "a request has no 'µ'; it may have labels, count, size, seed, seeds, solver, steps, "),
        ('{"steps": "5"}', "the request cannot be read (request.steps is str, not int)"),
        ('{"steps": 5.0}', "the request cannot be read (request.steps is float, not int)"),
        ('{"steps": true}', "the request cannot be read (request.steps is bool, not int)"),
        ('{"steps": 1e999}', "the request cannot be read (it is not JSON text)"),
        ('{"count": 9223372036854775808}', "the request cannot be read (request.count is 9223372036854775808, not -9"),
        ('{"guidance": "2"}', "the request cannot be read (request.guidance is str, not float)"),
        ('{"labels": 3}', "the request cannot be read (request.labels is not a list)"),
        ('{"labels": [3, 1.5]}', "the request cannot be read (request.labels[1] is float, not int)"),
        ('{"seeds": []}', "no seed was given: name one for each image, or leave seeds out"),
        ('{"seeds": ["1"]}', "the request cannot be read (request.seeds[0] is str, not int)"),
        ('{"size": "512"}', "'512' is not WIDTHxHEIGHT, such as 512x256"),
        ('{"size": [512]}', "the request cannot be read (request.size has 1 entries, not 2)"),
        (
            '{"guidance_interval": [0, 1, 2]}',
            "the request cannot be read (request.guidance_interval has 3 entries, not 2)",
        ),
        ('{"noise": "zero"}', 'noise is "seeds", or "given" where numbers come beside the request, not \'zero\''),
    ],
)
def test_requests_that_are_no_json_of_one(parity, text, says):
    assert refusal(parity, text).startswith(says)


def test_null_is_a_default(parity):
    names = "labels count size seed seeds solver steps last_step guidance guidance_channels guidance_interval noise"
    text = json.dumps(dict.fromkeys([*names.split(), "s_max_adjust", "preview_every"]))
    assert parity("resolve", manifest=NAMED.to_json(), request=text) == through_cpp(parity, NAMED, {})
