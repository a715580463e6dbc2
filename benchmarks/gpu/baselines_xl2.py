"""Stage gpu-baselines: a step of XL/2 by fdcn beside all else that could run it, and beside SiT-XL/2, at three sizes.

What takes minutes to compile or to build is a check of its own, whose result the timed checks find.
"""

from stages import Check, later

NAME = "gpu-baselines"
SOURCES = ("export/**/*.py", "plugins/*.py", "plugins/native/*", "benchmarks/baselines.py", "benchmarks/rivals.py")
SOURCES += ("benchmarks/clock.py", "benchmarks/variants.py", "benchmarks/trt_step.py", "benchmarks/bench_step.py")
SOURCES += ("benchmarks/sit.py", "benchmarks/gpu/stages.py", "benchmarks/gpu/baselines_*.py", "benchmarks/gpu/xl2.py")
SOURCES += ("benchmarks/gpu/bench_steps.py", "benchmarks/gpu/limits.py")
SIZES = (256, 512, 1024)

CHECKS: dict[str, Check] = {}
for _px in SIZES:
    for _name in ("FlowDCN", "SiT"):
        CHECKS[f"engine {_name} {_px} px"] = later("baselines_checks", "engine", _name, _px)
        CHECKS[f"compile {_name} {_px} px"] = later("baselines_checks", "compiled", _name, _px)
    CHECKS[f"{_px} px"] = later("baselines_checks", "timed", _px)
