"""Which engine a machine takes, decided over manifests and machines made by hand; and what is said where none fits."""

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdcn import gpu
from fdcn.bundle import Engine, Plugin, Target, engine_key
from fdcn.errors import FdcnError
from fdcn.gpu import Gpu
from fdcn.plugins import spec
from fdcn.runtime import backends
from fdcn.runtime.backends import choice
from fdcn.runtime.backends.choice import Installed, Machine, choose, obstacle, operator

BUNDLE = Path("model")
A10 = Gpu("NVIDIA A10", "sm_86", 24 << 30, "13.0", "580.65.06")
MACHINE = Machine(
    A10, {"tensorrt": Installed("10.6.0", "12"), "tensorrt-rtx": Installed("1.7.1.116", "13")}, True, True
)
TARGET = Target(
    flavour="tensorrt",
    version="10.6.0",
    compute=["sm_86"],
    cuda="12",
    driver=None,
    precision="float16",
    profiles=[],
    plugin=Plugin("library", spec.VERSION, "1" * 64, "engine-0/libfdcn_tensorrt.so"),
    onnx_sha256={},
    workspace=None,
    refittable=False,
    made_from="",
)


def engine(plugin=None, **changes):
    target = dataclasses.replace(TARGET, plugin=dataclasses.replace(TARGET.plugin, **plugin or {}), **changes)
    return Engine("tensorrt", engine_key(target), {}, target)


def refusal(*engines, machine=MACHINE, allowed=False):
    with pytest.raises(FdcnError) as caught:
        choose(BUNDLE, engines, machine, allowed)
    return str(caught.value)


def test_the_newest_that_loads_is_taken():
    older, newer = engine(precision="float32"), engine()
    too_new, elsewhere = engine(version="11.0.0"), engine(compute=["sm_90"])
    other_backend = Engine("onnxruntime", "onnxruntime-1.27-function", {})
    assert choose(BUNDLE, [older, newer, too_new, elsewhere, other_backend], MACHINE, False) is newer
    assert choose(BUNDLE, [newer, older], MACHINE, False) is older


@pytest.mark.parametrize(
    ("changes", "found", "wanted", "command"),
    [
        ({"version": "10.15.1"}, "here is 10.6.0", "needs tensorrt 10.15.1", "fdcn build model --fp16"),
        ({"cuda": "13"}, "for CUDA 12", "needs CUDA 13", "fdcn build model --fp16"),
        ({"compute": ["sm_80", "sm_89"]}, "this GPU is sm_86", "for sm_80, sm_89", "fdcn build model --fp16"),
        ({"compute": ["sm_90"], "precision": "bfloat16"}, "sm_86", "sm_90", "fdcn build model --bf16"),
        ({"compute": ["sm_90"], "precision": "float32"}, "sm_86", "sm_90", "fdcn build model;"),
        ({"compute": ["sm_90"], "precision": "int8"}, "sm_86", "sm_90", "fdcn build model --int8"),
        ({"compute": ["sm_90"], "precision": "fp8"}, "sm_86", "sm_90", "fdcn build model --fp16"),  # it has no FP8
        (
            {"plugin": {"version": 9}},
            f"fdcn has {spec.VERSION}",
            "version 9 of the operator",
            "fdcn build model --fp16",
        ),
        ({"plugin": {"kind": "triton"}}, "this machine has no library of it", "the operator's plugin", "pip install"),
        ({"flavour": "tensorrt-10"}, "does not load here", "needs tensorrt-10 10.6.0", "update fdcn"),
    ],
)
def test_a_refusal_says_found_wanted_and_the_command(changes, found, wanted, command):
    made = engine(**changes)
    machine = MACHINE
    if made.target.flavour not in MACHINE.flavours:
        machine = dataclasses.replace(MACHINE, flavours={made.target.flavour: choice._installed(made.target.flavour)})
    said = refusal(made, machine=machine)
    assert all(part in said for part in ("model", made.key, "NVIDIA A10 (sm_86)", found, wanted, command)), said
    assert said.endswith("--backend onnxruntime")
    assert "\n" not in said


def test_a_missing_flavour_says_how_to_get_it():
    machine = dataclasses.replace(MACHINE, flavours={"tensorrt": "TensorRT is not installed: pip install tensorrt"})
    said = refusal(engine(), machine=machine)
    assert "needs tensorrt 10.6.0, which does not load here" in said
    assert "pip install tensorrt" in said


def test_a_driver_older_than_tensorrts_cuda_is_named():
    old = dataclasses.replace(MACHINE, gpu=dataclasses.replace(A10, cuda="12.2", driver="535.54.03"))
    rtx = engine(flavour="tensorrt-rtx", version="1.7.1.116", cuda="13")
    said = refusal(rtx, machine=old)
    assert "needs a driver for CUDA 13, here 535.54.03 runs CUDA up to 12.2" in said
    assert "update NVIDIA's driver" in said
    assert choose(BUNDLE, [engine()], old, False)


def test_every_engine_gets_its_reason():
    said = refusal(engine(compute=["sm_90"]), engine(version="11.0.0"), engine(plugin={"kind": "python", "version": 2}))
    assert all(reason in said for reason in ("sm_90", "11.0.0", "version 2"))
    assert said.count("fdcn build model --fp16") == 1


def test_no_engine_says_how_to_build_one():
    said = refusal(Engine("onnxruntime", "onnxruntime-1.27-function", {}))
    assert "holds no TensorRT engine for this machine's NVIDIA A10 (sm_86)" in said
    assert "fdcn build model --fp16" in said


BARE = dataclasses.replace(MACHINE, library=False, compiles=False)


def test_the_library_of_a_bundle_is_code_and_taken_only_when_allowed():
    made = engine()
    assert operator(made.target, MACHINE, True) == "library"  # the machine's own comes first
    assert "--allow-bundled-code" in refusal(made, machine=BARE)
    assert operator(made.target, BARE, True) == "bundled"
    assert choose(BUNDLE, [made], BARE, True) is made
    assert "--allow-bundled-code" not in refusal(engine(plugin={"file": None}), machine=BARE, allowed=True)


def test_plugins_take_each_others_place():
    compiles, built = (dataclasses.replace(BARE, **{what: True}) for what in ("compiles", "library"))
    for kind in ("library", "python"):
        target = engine(plugin={"kind": kind, "file": None}).target
        assert operator(target, MACHINE, False) == kind
        assert operator(target, compiles, False) == "python"
        assert operator(target, built, False) == "library"
        assert operator(target, BARE, False) is None


@pytest.mark.parametrize("kind", ["aot", "none"])
def test_an_engine_that_holds_its_operator_needs_no_plugin(kind):
    made = engine(plugin={"kind": kind, "file": None})
    assert choose(BUNDLE, [made], BARE, False) is made
    assert operator(made.target, BARE, False) == kind


TARGETS = st.builds(
    engine,
    plugin=st.fixed_dictionaries(
        {
            "kind": st.sampled_from(["library", "python", "aot", "none"]),
            "version": st.sampled_from([spec.VERSION, 2]),
            "file": st.sampled_from([None, "engine-0/libfdcn_tensorrt.so"]),
        }
    ),
    flavour=st.sampled_from(["tensorrt", "tensorrt-rtx"]),
    version=st.sampled_from(["10.6.0", "1.7.1.116"]),
    compute=st.lists(st.sampled_from(["sm_86", "sm_89"]), min_size=1, max_size=2, unique=True),
    cuda=st.sampled_from(["12", "13", ""]),
)
MACHINES = st.builds(
    Machine,
    st.just(A10),
    st.fixed_dictionaries(
        {
            "tensorrt": st.sampled_from([Installed("10.6.0", "12"), "not installed: pip install tensorrt"]),
            "tensorrt-rtx": st.sampled_from([Installed("1.7.1.116", "13"), "not installed: pip install 'fdcn[rtx]'"]),
        }
    ),
    st.booleans(),
    st.booleans(),
)


@given(st.lists(TARGETS, max_size=4), MACHINES, st.booleans())
def test_what_is_taken_has_no_obstacle_and_nothing_newer_had_none(engines, machine, allowed):
    free = [e for e in engines if obstacle(BUNDLE, e, machine, allowed) is None]
    try:
        taken = choose(BUNDLE, engines, machine, allowed)
    except FdcnError as error:
        assert not free
        assert "--backend onnxruntime" in str(error)
        return
    assert taken is free[-1]
    target, installed = taken.target, machine.flavours[taken.target.flavour]
    assert installed.version == target.version
    assert A10.compute in target.compute
    assert operator(target, machine, allowed) != "bundled" or allowed


@pytest.fixture
def machine_with(monkeypatch):
    """Let this machine have a GPU, none, or a driver that does not work."""

    def have(found):
        def first():
            if isinstance(found, FdcnError):
                raise found
            return found

        monkeypatch.setattr(gpu, "first", first)

    return have


def test_without_a_gpu_auto_takes_onnxruntime_and_says_so(machine_with, shipped_bundle):
    machine_with(None)
    assert backends.open_backend(shipped_bundle, "auto").name.startswith("ONNX Runtime")
    with pytest.raises(FdcnError, match=r"needs an NVIDIA GPU.*none here; run with --backend onnxruntime"):
        backends.open_backend(shipped_bundle, "tensorrt")


def test_with_a_gpu_auto_does_not_fall_back(machine_with, shipped_bundle):
    machine_with(A10)
    for name in ("auto", "tensorrt"):
        with pytest.raises(
            FdcnError, match=r"no TensorRT engine.*NVIDIA A10.*fdcn build .* --fp16.*--backend onnxruntime"
        ):
            backends.open_backend(shipped_bundle, name)
    assert backends.open_backend(shipped_bundle, "onnxruntime").name.startswith("ONNX Runtime")


def test_a_broken_driver_is_said(machine_with, shipped_bundle):
    machine_with(FdcnError("NVIDIA's driver does not work (cuInit: unknown error (999)); restart the machine"))
    with pytest.raises(FdcnError, match=r"driver does not work.*--backend onnxruntime"):
        backends.open_backend(shipped_bundle, "auto")


def test_a_machine_without_cuda_bindings_says_how_to_get_them(machine_with, shipped_bundle, monkeypatch):
    monkeypatch.setattr(choice.util, "find_spec", lambda name: None)
    machine_with(A10)
    with pytest.raises(FdcnError, match=r"cuda-bindings: pip install 'fdcn\[gpu\]'"):
        backends.open_backend(shipped_bundle, "auto")
