"""Processes that give up TensorRT's engines, contexts and the operator's plugin in every order."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from shipped import built
from stages import Failed

ORDERS = {
    "backend at exit": "",
    "backend first": "del backend; gc.collect()",
    "closed, then used no more": "backend.close(); backend.close(); del backend",
    "contexts outlive the backend": "kept = [g._context for g in graphs(backend)]; backend.close(); del backend",
    "engines outlive the backend": "kept = [g._engine for g in graphs(backend)]; backend.close(); del backend",
    "two of them, the older first": "second = opened(); run(second); del backend; gc.collect(); run(second)",
    "modules first": "[sys.modules.pop(n) for n in list(sys.modules) if n.startswith(('fdcn', 'tensorrt', 'cuda'))]",
}
OPENED = """
import gc, sys
import numpy as np
from fdcn import gpu
from fdcn.bundle import Bundle
from fdcn.runtime.backends.trt import open_engine
def graphs(backend): return list(backend.engine.graphs.values())
def opened(): return open_engine(Bundle.open(sys.argv[1]), gpu.first())
def run(backend): backend.condition(np.zeros(1, np.float32), np.zeros(1, np.int64))
backend = opened()
run(backend)
"""


def every_order(work: Path) -> dict[str, Any]:
    """Processes that give the backend up in different orders end with status 0, with each kind of plugin."""
    wrong, seconds = [], {}
    for plugin in ("library", "python"):
        bundle, _ = built(work, plugin, "float16")
        for name, code in ORDERS.items():
            start = time.perf_counter()
            words = [sys.executable, "-c", OPENED + code, str(bundle.path)]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            seconds[f"{plugin}: {name}"] = time.perf_counter() - start
            if done.returncode:
                wrong.append(f"{plugin}: {name}: status {done.returncode}: {done.stderr.strip()[-200:]}")
    if wrong:
        raise Failed("; ".join(wrong), {"seconds": seconds})
    return {"seconds": seconds}
