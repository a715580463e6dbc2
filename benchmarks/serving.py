"""Load on `fdcn serve` with the shipped model; each part goes into results/serving.json and leaves the others there.

    make ops
    python benchmarks/serving.py throughput       # requests without end, beside `pipe` alone at the same batch
    python benchmarks/serving.py latency          # requests at random times, 70% of that throughput
    python benchmarks/serving.py batching         # 8 clients, with and without batches
    python benchmarks/serving.py soak             # half an hour of everything at once: memory, files, threads
    python benchmarks/serving.py bad              # 10,000 requests that are wrong
    python benchmarks/serving.py kill             # on Ray: replicas are killed while requests run

Client and server share the machine, so the client does little; what is compared is measured in turns.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import machine
import serving_bad
import serving_kill
import serving_soak
from serving_client import Answer, closed_loop, open_loop, pictures_a_second
from serving_server import Alone, Server, alone, cores, serving, shipped

from fdcn.runtime.backends.onnxrt import has_native_operator

PACKAGES = ("fastapi", "numpy", "onnxruntime", "uvicorn", "uvloop")
NAMES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
BATCH = 8
LOAD = 0.7
"""Of the throughput, in `latency`."""
CLIENTS = 8
"""In `batching`."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--bundle", type=Path, help="default: the shipped checkpoint, exported and built")
    parser.add_argument("--rounds", type=int, default=6, help="of throughput and batching (default: 6)")
    parser.add_argument("--seconds", type=float, default=20.0, help="of a round of those (default: 20)")
    parser.add_argument(
        "--minutes",
        type=float,
        default=30.0,
        help="of soak; latency takes a tenth of it, kill a twentieth (default: 30)",
    )
    parser.add_argument("--deadline", type=float, default=2.0, help="of latency's requests, seconds (default: 2)")
    parser.add_argument("--requests", type=int, default=10_000, help="of bad (default: 10000)")
    options = parser.parse_args()
    if not has_native_operator():
        parser.error("the native operator has not been built: make ops")
    with tempfile.TemporaryDirectory() as folder:
        bundle = options.bundle or shipped(Path(folder) / "model")
        result = machine.describe(PACKAGES) | PARTS[options.part](bundle, options)
    for name, value in result.items():
        if isinstance(value, int | float | str | bool):
            print(f"{name:32} {value:.4g}" if isinstance(value, float) else f"{name:32} {value}")
    print(f"wrote {write(options.part, result)}")
    if result["failures"]:
        sys.exit("\n".join(map(str, result["failures"])))


def write(part: str, result: dict[str, Any]) -> Path:
    """Put a part into the result beside those that are there."""
    known = machine.read("serving") if (machine.RESULTS / "serving.json").exists() else {}
    return machine.write("serving", known | {part: result})


def one_picture(i: int) -> Mapping[str, Any]:
    """Request i: a class, a seed, and the bundle's defaults for all else."""
    return {"prompt": NAMES[i % len(NAMES)], "seed": i}


def throughput(bundle: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Pictures a second of the server when it is full, and of `pipe` in batches of the same size."""
    rates: dict[str, list[float]] = {"alone": [], "server": []}
    answers: list[Answer] = []
    with alone(bundle) as pipe, serving(bundle, "--max-batch", BATCH) as server:
        pipe.seconds(BATCH)
        for _ in range(options.rounds):
            rates["alone"].append(alone_rate(pipe, BATCH, options.seconds))
            got = asyncio.run(closed_loop(server.port, 2 * BATCH, options.seconds, one_picture))
            rates["server"].append(pictures_a_second(got, BATCH))
            answers += got
    return {
        "batch": BATCH,
        "clients": 2 * BATCH,
        "alone_rate": statistics.median(rates["alone"]),
        "server_rate": statistics.median(rates["server"]),
        "ratio": statistics.median(s / a for a, s in zip(rates["alone"], rates["server"], strict=True)),
        "rates": rates,
        "requests": len(answers),
        "failures": failures(answers),
    }


def latency(bundle: Path, options: argparse.Namespace) -> dict[str, Any]:
    """From a request's time to its answer, where requests come at random and fill the server to 70%."""
    full = machine.read("serving")["throughput"]["server_rate"]
    with serving(bundle, "--max-batch", BATCH, "--deadline", options.deadline) as server:
        asyncio.run(closed_loop(server.port, BATCH, 5.0, one_picture))
        seconds = 6 * options.minutes
        answers = asyncio.run(open_loop(server.port, LOAD * full, seconds, one_picture))
        quiet = asyncio.run(closed_loop(server.port, 1, 10.0, one_picture))
    taken = sorted(answer.seconds for answer in answers)
    return {
        "load": LOAD,
        "rate": LOAD * full,
        "deadline": options.deadline,
        "p50": quantile(taken, 0.5),
        "p90": quantile(taken, 0.9),
        "p99": quantile(taken, 0.99),
        "most": taken[-1],
        "one_client_p50": quantile(sorted(answer.seconds for answer in quiet), 0.5),
        "seconds": [round(answer.seconds, 4) for answer in answers],
        "requests": len(answers),
        "failures": failures(answers),
    }


def batching(bundle: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Pictures a second of 8 clients with and without batches, how busy the cores are then, and what `pipe` gains."""
    rates: dict[str, list[float]] = {"batches": [], "one by one": []}
    busy: dict[str, list[float]] = {name: [] for name in rates}
    gains: dict[str, list[float]] = {str(images): [] for images in (2, 4, CLIENTS)}
    answers: list[Answer] = []
    with (
        alone(bundle) as pipe,
        serving(bundle, "--max-batch", CLIENTS) as batched,
        serving(bundle, "--max-batch", 1) as plain,
    ):
        servers: dict[str, tuple[Server, int]] = {"batches": (batched, CLIENTS), "one by one": (plain, 1)}
        for _ in range(options.rounds):
            for name, (server, together) in servers.items():
                used = server.cpu_seconds()
                got = asyncio.run(closed_loop(server.port, CLIENTS, options.seconds, one_picture))
                took = max(answer.ended for answer in got) - min(answer.ended - answer.seconds for answer in got)
                rates[name].append(pictures_a_second(got, together))
                busy[name].append((server.cpu_seconds() - used) / took / cores())
                answers += got
            single = alone_rate(pipe, 1, options.seconds / 4)
            for images, taken in gains.items():
                taken.append(alone_rate(pipe, int(images), options.seconds / 4) / single)
    return {
        "clients": CLIENTS,
        "gain": statistics.median(b / a for b, a in zip(rates["batches"], rates["one by one"], strict=True)),
        "rates": rates,
        "busy": {name: statistics.median(taken) for name, taken in busy.items()},
        "pipe_gain": {images: statistics.median(taken) for images, taken in gains.items()},
        "pipe_gains": gains,
        "requests": len(answers),
        "failures": failures(answers),
    }


def alone_rate(pipe: Alone, images: int, seconds: float) -> float:
    """Pictures a second of batches, about so many seconds of them."""
    taken: list[float] = []
    while sum(taken) < seconds:
        taken.append(pipe.seconds(images))
    return images * len(taken) / sum(taken)


def failures(answers: list[Answer]) -> list[str]:
    """What of the answers was no picture."""
    return [
        f"{answer.status}: {answer.body[:200].decode('utf-8', 'replace')}" for answer in answers if answer.status != 200
    ][:10]


def quantile(ordered: list[float], share: float) -> float:
    """The least sample that at least this share of them does not exceed."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def soak(bundle: Path, options: argparse.Namespace) -> dict[str, Any]:
    """See `serving_soak`."""
    return serving_soak.soak(bundle, options.minutes)


def bad(bundle: Path, options: argparse.Namespace) -> dict[str, Any]:
    """See `serving_bad`."""
    return serving_bad.bad(bundle, options.requests)


def kill(bundle: Path, options: argparse.Namespace) -> dict[str, Any]:
    """See `serving_kill`."""
    return serving_kill.kill(bundle, 3 * options.minutes)


PARTS: dict[str, Callable[[Path, argparse.Namespace], dict[str, Any]]] = {
    part.__name__: part for part in (throughput, latency, batching, soak, bad, kill)
}


if __name__ == "__main__":
    main()
