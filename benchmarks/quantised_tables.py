"""Tables of what INT8 and FP8 take and save."""

import machine

SHOWN_SECONDS = 0.2e-3
"""Kinds of operators that take less are not shown."""


def int8() -> str:
    """INT8 beside float32 on a CPU: one guided step, by size and by what is kept."""
    r = machine.read("int8")
    quantised = {name: f"{entry['quantised']} of {entry['products']}" for name, entry in r["limits"].items()}
    lines = [
        f"A step of {r['model']}, on {r['machine']['cores']} cores of {r['machine']['processor']}:",
        "",
        "| | products in INT8 | median | times as fast as float32 | cosine to it |",
        "|---|--:|--:|--:|--:|",
    ]
    for case, entry in r["cases"].items():
        for name, seconds in entry["seconds"].items():
            faster = f"{entry['over_float32'][name]:.2f}" if name in entry["over_float32"] else ""
            row = (quantised[name], f"{1e3 * seconds['median']:.0f} ms", faster, f"{entry['cosine'][name]:.4f}")
            lines.append(f"| {case}, {name} | {' | '.join(row)} |")
    return "\n".join(lines)


def int8_operators() -> str:
    """Where the time of both goes."""
    r = machine.read("int8")
    float32, low = (r["limits"][name] for name in ("float32", "int8"))
    lines = ["| operator | float32 | INT8 |", "|---|--:|--:|"]
    names = dict.fromkeys([*low["operators"], *float32["operators"]])
    shown = {name: [entry["operators"].get(name, 0.0) for entry in (float32, low)] for name in names}
    for name, seconds in shown.items():
        if max(seconds) >= SHOWN_SECONDS:
            lines.append(f"| {name} | {' | '.join(f'{1e3 * t:.1f} ms' if t else '' for t in seconds)} |")
    limits = " | ".join(f"{1e3 * entry['seconds']:.1f} ms" for entry in (float32, low))
    return "\n".join([*lines, f"| its products at the best rate of a large one | {limits} |"])


def calibrate() -> str:
    """What a calibration takes."""
    r = machine.read("calibrate")
    where = f"{r['machine']['cores']} cores of {r['machine']['processor']}"
    lines = [
        f"{r['model']}, {r['steps']} evaluations a sample, on {where}:",
        "",
        "| samples | time | processor time | peak memory |",
        "|--:|--:|--:|--:|",
    ]
    for count, row in r["samples"].items():
        times = " | ".join(f"{row[key] / 60:.1f} min" for key in ("seconds", "cpu_seconds"))
        lines.append(f"| {count} | {times} | {row['peak_bytes'] / 1e9:.2f} GB |")
    return "\n".join(lines)


def fp8() -> str:
    """XL/2 in FP8 and INT8 beside float16 on a GPU."""
    path = machine.RESULTS / "gpu-fp8.json"
    if not path.exists():
        return "Not yet measured: `make gpu` does, in stage `gpu-fp8`."
    r = machine.read("gpu-fp8")
    lines = ["| | float16 | | times as fast | more would be, but for |", "|---|--:|--:|--:|---|"]
    for name, entry in r["checks"].items():
        if "speedup" in (numbers := entry.get("numbers", {})):
            first, second = (f"{1e3 * each['median']:.2f} ms" for each in numbers["seconds"].values())
            why = numbers["behind"][0]["role"] if "behind" in numbers else ""
            lines.append(f"| {name} | {first} | {second} | {numbers['speedup']:.2f} | {why} |")
    return "\n".join([f"XL/2 at 256 px on {r['machine']['gpu']['name']}:", "", *lines])
