"""Stage gpu-bench: XL/2 by fdcn's TensorRT engines against what this GPU can do at most.

A step in half precision at three sizes and in a batch, whole pictures, a size that is new, the start of a process;
where a step's time goes, and what edits of the graph would make of it.
"""

from stages import Check, later

NAME = "gpu-bench"
SOURCES = ("__init__.py", "bundle.py", "export/**/*.py", "plugins/*.py", "plugins/native/*", "runtime/**/*")
SOURCES += ("benchmarks/baselines.py", "benchmarks/rivals.py", "benchmarks/clock.py", "benchmarks/variants.py")
SOURCES += ("benchmarks/trt_step.py", "benchmarks/bench_step.py", "benchmarks/sit.py", "benchmarks/gpu/stages.py")
SOURCES += ("benchmarks/gpu/bench_*.py", "benchmarks/gpu/xl2.py", "benchmarks/gpu/limits.py")
VARIANTS = ("joined SwiGLU", "half stream", "rows first")
"""Of benchmarks/variants.py."""

CHECKS: dict[str, Check] = {
    "export": later("bench_steps", "exported"),
    "build float16": later("bench_steps", "built", "float16"),
    "step float16": later("bench_steps", "step", "float16"),
    "batch float16": later("bench_steps", "batch", "float16"),
    "sizes float16": later("bench_steps", "sizes", "float16"),
    "pictures": later("bench_pictures", "pictures"),
    "new resolution": later("bench_pictures", "new_resolution"),
    "cold start": later("bench_pictures", "cold_start"),
    "layers": later("bench_layers", "layers"),
    "build bfloat16": later("bench_steps", "built", "bfloat16"),
    "step bfloat16": later("bench_steps", "step", "bfloat16"),
    **{f"variant {name}": later("bench_layers", "variant", name) for name in VARIANTS},
    "narrow profile": later("bench_layers", "narrow"),
}
