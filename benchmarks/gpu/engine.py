"""Stage gpu-engine: engines of the shipped checkpoint with every plugin and precision, against ONNX Runtime.

Also the edges of profiles, refitting, `fdcn verify`, the order of destruction, and what a warm timing cache saves.
"""

from stages import Check, later

NAME = "gpu-engine"
SOURCES = ("bundle.py", "cache.py", "cli.py", "gpu.py", "export/**/*.py", "plugins/*.py", "plugins/native/*")
SOURCES += ("runtime/**/*.py", "verify/*.py", "examples/fashion_mnist/*.safetensors", "benchmarks/bench_step.py")
SOURCES += ("benchmarks/gpu/engine*.py", "benchmarks/gpu/shipped.py", "benchmarks/gpu/beside.py")
SOURCES += ("benchmarks/gpu/stages.py",)
PRECISIONS = ("float16", "float32", "bfloat16")


def compared(plugin: str, precision: str, operator: str | None = None) -> Check:
    """An engine against ONNX Runtime, running with the plugin that it was built with or with another `operator`."""
    return later("engine_checks", "compared", plugin, precision, operator)


CHECKS: dict[str, Check] = {
    "library": later("engine_checks", "library"),
    **{f"library {precision}": compared("library", precision) for precision in PRECISIONS},
    "sampler": later("engine_sampler", "pictures"),
    "profile edges": later("engine_checks", "profile_edges"),
    "verify float16": later("engine_commands", "verify", "float16"),
    "verify bfloat16": later("engine_commands", "verify", "bfloat16"),
    "refit": later("engine_checks", "refit"),
    "destruction": later("engine_destruction", "every_order"),
    **{f"python {precision}": compared("python", precision) for precision in PRECISIONS},
    **{f"none {precision}": compared("none", precision) for precision in PRECISIONS},
    "library engine, Python plugin": compared("library", "float16", "python"),
    "Python engine, library plugin": compared("python", "float16", "library"),
    "again": later("engine_commands", "again"),
    "build if missing": later("engine_commands", "build_if_missing"),
    "aot": later("engine_checks", "aot"),
    "timing cache": later("engine_timings", "cold_and_warm"),
}
