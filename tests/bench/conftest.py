"""A result that was not measured, for what reads results."""

import pytest

from fdcn.bench.report import NETWORK, PICTURE, Limit, Report, Row
from fdcn.bench.work import Work


@pytest.fixture
def result():
    """Two rows of two batches each, of one engine on a GPU."""

    def rows(batch):
        common = {
            "engine": "tensorrt-10.6.0-sm_86-float16",
            "backend": "tensorrt",
            "precision": "float16",
            "size": "256x256",
            "batch": batch,
            "rows": 2 * batch,
        }
        times = [0.001 * batch, 0.002 * batch, 0.004 * batch]
        checks = {"velocity_cosine": 0.99999}
        work = Work(10**9 * batch, 10**7)
        layers = {"GEMM": 0.75, "operator": 0.25}
        yield Row(NETWORK, **common, steps=1, clock="device", samples=times, check=checks, work=work, layers=layers)
        more = {"encoding": 0.1, "resident": 10**8, "device_memory": 2 * 10**9}
        slow = [10 * t for t in times]
        yield Row(PICTURE, **common, steps=10, clock="wall", samples=slow, check={"picture_psnr": 41.5}, **more)

    gpu = {"name": "NVIDIA A10", "compute": "sm_86", "memory": 24 << 30, "driver": "580.65.06"}
    return Report(
        date="2026-01-31",
        machine={"processor": "a processor", "cores": 4, "system": "Linux x86_64", "gpu": gpu},
        versions={"python": "3.12.0", "fdcn": "0.1.0"},
        model={"family": "flowdcn", "parameters": 10**7, "architecture": {"hidden": 64}, "weights_sha256": "ab" * 32},
        settings={"solver": "neural", "steps": 10, "guidance": 4.0},
        limits=[Limit("gpu", "float16", 1e12, 1e10, "8192³")],
        rows=[row for batch in (1, 4) for row in rows(batch)],
        failures=[],
        notes=[],
    )
