"""Train the shipped FlowDCN on Fashion-MNIST, on a CPU: flow matching, mixed aspect ratios, EMA.

    python examples/fashion_mnist/train.py --steps 4000              # from nothing, or on from the EMA that is there

The checkpoint holds the EMA alone, with what `fdcn export` wants to know in its metadata. A run that finds one
starts from it with a fresh Adam and a short warm-up, and lowers the learning rate to zero at its end.
"""

import argparse
import json
import os
import time
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from data import CLASS_NAMES, FOLDER, load, resize
from fdcn.export.models.flowdcn.architecture import Architecture
from fdcn.export.models.flowdcn.network import FlowDCN

HERE = Path(__file__).parent
ARCHITECTURE = Architecture(
    blocks=11, hidden=96, groups=4, ffn=256, channels=1, out_channels=1, classes=len(CLASS_NAMES)
)
# (width, height) and how often; the pictures are stretched. Twice the area gets half the batch.
BUCKETS = {
    (28, 28): 0.50,
    (40, 20): 0.125,
    (20, 40): 0.125,
    (56, 28): 0.125,
    (28, 56): 0.125,
}
NULL_LABEL_RATE = 0.1
EMA_DECAY = 0.999


def flow_matching_loss(network: torch.nn.Module, data: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean squared error of the velocity at x_t = t·data + (1 - t)·noise, t logit-normal (as VAR-FlowDCN)."""
    t = torch.randn(len(data)).sigmoid()
    noise = torch.randn_like(data)
    labels = torch.where(torch.rand(len(data)) < NULL_LABEL_RATE, len(CLASS_NAMES), labels)
    at = t[:, None, None, None]
    with torch.autocast("cpu", torch.bfloat16):
        velocity = network(at * data + (1 - at) * noise, t, labels)
    return torch.nn.functional.mse_loss(velocity.float(), data - noise)


def save(path: Path, ema: dict[str, torch.Tensor], steps: int) -> None:
    """Replace the checkpoint in one go: a killed run leaves the old file or the new one."""
    metadata = {
        "fdcn.train_size": "28x28",
        "fdcn.class_names": json.dumps(CLASS_NAMES),
        "fdcn.mixed_aspect": "true",
        "fdcn.train_steps": str(steps),
    }
    temporary = path.with_suffix(".tmp")
    save_file({k: v.contiguous() for k, v in ema.items()}, temporary, metadata)
    os.replace(temporary, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=4000, help="optimiser steps in this run (default: 4000)")
    parser.add_argument("--batch", type=int, default=64, help="pictures a step at 28x28 (default: 64)")
    parser.add_argument("--lr", type=float, default=1e-3, help="highest learning rate (default: 0.001)")
    parser.add_argument("--warmup", type=int, default=200, help="steps to reach it (default: 200)")
    parser.add_argument(
        "--cooldown", type=float, default=0.3, help="part of the run that lowers it to 0 (default: 0.3)"
    )
    parser.add_argument("--save-every", type=int, default=250, help="steps between saved EMAs (default: 250)")
    parser.add_argument("--checkpoint", type=Path, default=HERE / "fashion-mnist.safetensors")
    parser.add_argument("--log", type=Path, default=HERE / "training.jsonl", help="mean loss by step, appended to")
    parser.add_argument("--data", type=Path, default=FOLDER)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--no-compile", action="store_true", help="skip torch.compile (40 s a size, then 1.25x faster)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    done, network = 0, FlowDCN(ARCHITECTURE)
    if args.checkpoint.exists():
        network.load_state_dict(load_file(args.checkpoint))
        with safe_open(args.checkpoint, "pt") as file:
            done = int(file.metadata()["fdcn.train_steps"])
    model = network if args.no_compile else torch.compile(network, dynamic=False)
    torch.manual_seed(done)
    pictures, labels = load("train", args.data)
    trained = [p for p in network.parameters() if p.requires_grad]
    ema = {name: p.detach().clone() for name, p in network.named_parameters()}
    optimiser = torch.optim.AdamW(trained, lr=args.lr, betas=(0.9, 0.99), weight_decay=0.0, foreach=True)
    sizes, rates = list(BUCKETS), torch.tensor(list(BUCKETS.values()))

    losses, since = [], time.monotonic()
    for step in range(1, args.steps + 1):
        left = (args.steps - step) / max(1, int(args.cooldown * args.steps))
        optimiser.param_groups[0]["lr"] = args.lr * min(1.0, step / args.warmup, left)
        width, height = sizes[int(torch.multinomial(rates, 1))]
        chosen = torch.randint(len(pictures), (args.batch * 784 // max(784, width * height),))
        data = resize(pictures[chosen].float() / 127.5 - 1, width, height)
        loss = flow_matching_loss(model, data, labels[chosen])
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        # A short average while the weights still move fast, when the run is the first.
        decay = min(EMA_DECAY, (1 + done + step) / (10 + done + step))
        with torch.no_grad():
            torch._foreach_lerp_(list(ema.values()), list(network.parameters()), 1 - decay)
        losses.append(loss.item())
        if step % 50 == 0:
            row = {"step": done + step, "loss": round(sum(losses) / len(losses), 5)}
            with args.log.open("a") as log:
                log.write(json.dumps(row) + "\n")
            print(row, f"{(time.monotonic() - since) / len(losses):.2f} s a step", flush=True)
            losses, since = [], time.monotonic()
        if step % args.save_every == 0 or step == args.steps:
            save(args.checkpoint, ema, done + step)


if __name__ == "__main__":
    main()
