"""Stage gpu-fp8: XL/2 at 256 px by TensorRT in FP8 and INT8 beside float16, and what keeps FP8 from being faster.

Scales come from one evaluation, not from a calibration: this stage is about time, and `fdcn verify` about quality.
"""

from stages import Check, later

NAME = "gpu-fp8"
SOURCES = ("bundle.py", "export/**/*.py", "plugins/*.py", "plugins/native/*", "calib/probe.py", "benchmarks/rough.py")
SOURCES += ("benchmarks/baselines.py", "benchmarks/rivals.py", "benchmarks/clock.py", "benchmarks/trt_step.py")
SOURCES += ("benchmarks/bench_step.py", "benchmarks/gpu/fp8_*.py", "benchmarks/gpu/bench_layers.py")
SOURCES += ("benchmarks/gpu/limits.py", "benchmarks/gpu/stages.py", "benchmarks/gpu/xl2.py")

CHECKS: dict[str, Check] = {
    "export": later("bench_steps", "exported"),
    "recipes": later("fp8_engines", "recipes"),
    "build float16": later("fp8_engines", "built", "float16"),
    "build fp8": later("fp8_engines", "built", "fp8"),
    "fp8, 8 pictures": later("fp8_steps", "step", "fp8", 8),
    "build int8": later("fp8_engines", "built", "int8"),
    "int8, 8 pictures": later("fp8_steps", "step", "int8", 8),
    "fp8, a picture": later("fp8_steps", "step", "fp8", 1),
    "int8, a picture": later("fp8_steps", "step", "int8", 1),
    "products": later("fp8_products", "products", 8),
}
