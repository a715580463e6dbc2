"""What is decided before TensorRT is asked: which engine and which profile, and the commands that are named."""

import dataclasses

import pytest
from cpp_runtime import ROOT
from hypothesis import example, given
from hypothesis import strategies as st

from fdcn.bundle import Bundle, Engine, Extent, Graph, Plugin, Profile, Target, engine_key
from fdcn.errors import FdcnError
from fdcn.gpu import Gpu
from fdcn.messages import say
from fdcn.plugins import spec
from fdcn.runtime.backends import choice, profiles

SIDES, ROWS = st.integers(1, 40), st.integers(1, 12)
FLAVOURS = ("tensorrt", "tensorrt-rtx")
VERSIONS = {"tensorrt": ("10.6.0", "10.6.0.26"), "tensorrt-rtx": ("1.7.1.116", "1.7.1.116")}
"""As Python's packages tell them, and whole."""
A10 = Gpu("NVIDIA A10", "sm_86", 24 << 30, "13.0", "580.65.06")


@pytest.fixture(scope="session")
def tiny_bundle() -> Bundle:
    """The bundle of the C++ tests, for its manifest."""
    return Bundle.open(ROOT / "runtime" / "cpp" / "tests" / "bundle")


@st.composite
def a_profile(draw):
    sides = [sorted(draw(st.tuples(numbers, numbers, numbers))) for numbers in (SIDES, SIDES, ROWS)]
    return Profile(*(Extent(*extent) for extent in zip(*sides, strict=True)))


EXTENTS = st.builds(Extent, SIDES, SIDES, st.integers(1, 30))
PROFILES = st.lists(a_profile(), max_size=4)


def numbers_of(profile_list):
    return [[dataclasses.astuple(end) for end in (each.min, each.opt, each.max)] for each in profile_list]


@given(PROFILES, EXTENTS)
def test_a_run_takes_the_same_profile_in_the_same_parts(parity, profile_list, wanted):
    given_ = {"profiles": numbers_of(profile_list), "wanted": dataclasses.astuple(wanted)}
    found = profiles.fit(profile_list, wanted)
    parts = found and {"profile": found[0], "parts": [[part.start, part.stop] for part in found[1]]}
    assert parity("fit_profile", **given_) == parts
    if profile_list:
        assert parity("nearest_profile", **given_) == str(profiles.nearest(profile_list, wanted))


OTHER_VERSIONS = {"tensorrt": "10.6.1", "tensorrt-rtx": "1.7.1.117", "tensorrt-10": "10.0.0"}


@st.composite
def a_target(draw):
    target = draw(TARGETS)
    known, other = VERSIONS.get(target.flavour, ("10.0.0",))[0], OTHER_VERSIONS[target.flavour]
    return dataclasses.replace(target, version=draw(st.sampled_from([known, other])))


TARGETS = st.builds(
    Target,
    flavour=st.sampled_from([*FLAVOURS, "tensorrt-10"]),
    version=st.just(""),
    compute=st.lists(st.sampled_from(["sm_86", "sm_89", "sm_90"]), min_size=1, max_size=2, unique=True),
    cuda=st.sampled_from(["12", "13", ""]),
    driver=st.sampled_from([None, "580.65.06"]),
    precision=st.sampled_from(["float32", "float16", "bfloat16", "int8", "fp8"]),
    profiles=PROFILES,
    plugin=st.builds(
        Plugin,
        kind=st.sampled_from(["library", "python", "aot", "none", "triton"]),
        version=st.sampled_from([spec.VERSION, 2]),
        sha256=st.none(),
        file=st.none(),
    ),
    onnx_sha256=st.just({}),
    workspace=st.sampled_from([None, 0, 1 << 30]),
    refittable=st.booleans(),
    made_from=st.just(""),
)


def engines_of(bundle, targets):
    """Engines that are there, since the files do not matter here."""
    graphs = {name: Graph(graph.file, []) for name, graph in bundle.manifest.graphs.items()}
    made = [Engine("tensorrt", engine_key(target), graphs, target) for target in targets]
    return [*made, dataclasses.replace(made[0], backend="onnxruntime", target=None)] if made else []


def text_of(bundle, engines):
    return dataclasses.replace(bundle.manifest, engines=engines).to_json()


def python_machine(flavour):
    """What C++ knows of itself: the one flavour that it is linked with, without the CUDA of TensorRT's library."""
    installed = {name: say("choice.other_library", flavour=name) for name in FLAVOURS}
    installed["tensorrt-10"] = say("choice.unknown_flavour", flavours=", ".join(FLAVOURS))
    installed[flavour] = choice.Installed(VERSIONS[flavour][0], "")
    return choice.Machine(A10, installed, library=True, compiles=False)


@given(st.lists(a_target(), max_size=4), st.sampled_from(FLAVOURS))
@example([], "tensorrt")
def test_a_machine_takes_the_same_engine_or_says_the_same(parity, tiny_bundle, targets, flavour):
    engines = engines_of(tiny_bundle, targets)
    asked = {
        "path": str(tiny_bundle.path),
        "text": text_of(tiny_bundle, engines),
        "gpu": {"name": A10.name, "compute": 86, "cuda": 13000, "driver": A10.driver},
        "flavour": flavour,
        "version": VERSIONS[flavour][1],
        "cuda": 13,
    }
    try:
        wanted = choice.choose(tiny_bundle.path, engines, python_machine(flavour), False).key
    except FdcnError as error:
        with pytest.raises(FdcnError) as caught:
            parity("choose_engine", **asked)
        assert str(caught.value) == str(error)
        return
    assert parity("choose_engine", **asked) == wanted


@given(a_target(), EXTENTS)
def test_the_command_that_adds_a_profile_is_the_same(parity, tiny_bundle, target, wanted):
    more = dataclasses.replace(target, profiles=[*target.profiles, profiles.around(wanted)])
    asked = {
        "path": str(tiny_bundle.path),
        "text": text_of(tiny_bundle, engines_of(tiny_bundle, [target])[:1]),
        "wanted": dataclasses.astuple(wanted),
    }
    assert parity("build_command", **asked) == f"fdcn build {tiny_bundle.path} {more.options()}"
