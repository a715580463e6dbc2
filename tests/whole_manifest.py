"""A manifest that has something of everything, for what reads one."""

import dataclasses

from fdcn.bundle import (
    Calibration,
    Engine,
    Extent,
    File,
    Graph,
    Manifest,
    Memory,
    Model,
    Plugin,
    Profile,
    Sampling,
    StepGroup,
    Target,
    engine_key,
)

HASH = "0" * 64


def graph(folder, name, *endings):
    return Graph(f"{folder}/{name}", [f"{folder}/{name}.data"] if not endings else list(endings))


def target():
    sizes = [Profile(Extent(64, 64, 1), Extent(64, 64, 2), Extent(64, 128, 8))]
    sizes += [Profile(Extent(8, 16, 2), Extent(32, 32, 2), Extent(256, 256, 2))]
    plugin = Plugin("library", 1, HASH, "engine-2/libfdcn_tensorrt.so")
    hashes = {"denoiser": HASH}
    return Target(
        "tensorrt", "10.6", ["sm_86", "sm_89"], "12", None, "int8", sizes, plugin, hashes, 1 << 30, True, HASH
    )


def manifest() -> Manifest:
    """Eleven blocks, five classes whose names are near one another, a calibration and engines of both backends."""
    graphs = {name: graph("graphs-1", f"{name}.onnx") for name in ("conditioner", "denoiser", "decoder")}
    made = {name: graph("engine-1", f"{name}.onnx") for name in ("conditioner", "denoiser")}
    host = Engine("onnxruntime", "onnxruntime-1.31.1-native-int8", made)
    device = Engine(
        "tensorrt",
        engine_key(target()),
        {name: Graph(f"engine-2/{name}.engine", []) for name in ("denoiser", "denoiser-2")},
        target(),
        [StepGroup(0.5, "denoiser"), StepGroup(1, "denoiser-2")],
        HASH,
    )
    recipes = {precision: f"calibration-1/{precision}.json" for precision in ("int8", "fp8")}
    measured = Calibration(
        HASH, 64, [[28, 28], [56, 28]], "neural", 10, 2.5, 1, "calibration-1/statistics.npz", recipes
    )
    whole = Manifest(
        format=1,
        fdcn="0.1.0",
        model=Model("flowdcn", {"blocks": 11, "hidden": 64}, 11, 4, 5, 2, 1_000_000, "ema", HASH),
        sampling=Sampling("neural", 10, 2.5, 6.0, True),
        memory=Memory(7296, 12, 0),
        operator="fdcn::MultiScaleDCN-1",
        train_size=[256, 256],
        mixed_aspect=False,
        fixed_size=None,
        pixel_factor=8,
        class_names=["Sneaker", "Ankle boot", "Straße", "T-shirt/top", "Étoile \u200b7"],
        graphs=graphs,
        engines=[host, device],
        files={},
        calibration=measured,
    )
    return dataclasses.replace(whole, files={path: File(1234, HASH) for path in sorted(whole.paths())})
