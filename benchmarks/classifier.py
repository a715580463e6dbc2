"""The judge's training: a small classifier of Fashion-MNIST, and the reference of real pictures that goes with it.

The first 1,000 of each class in a seeded shuffle of the training pictures are kept from the classifier: the rows "real"
and "halved" are of those, so what they lose to the reference (the 10,000 test pictures) is chance, not overfitting.
"""

import dataclasses
import itertools
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fdcn.bundle import replace_file
from fdcn.export.trace import OPSET
from fdcn.verify import fidelity
from fdcn.verify.judge import Classifier, Reference, resize

# The examples are no package: their loader of the data set is imported as train.py, beside it, does.
sys.path.append(str(Path(__file__).resolve().parent.parent / "examples" / "fashion_mnist"))
from data import CLASS_NAMES, FOLDER, load

SEED = 0
EPOCHS = 8
BATCH = 128
LEARNING_RATE = 3e-3
FEATURES = 64
HELD_OUT_A_CLASS = 1000
SAMPLE_A_CLASS = 300
CLASSES = len(CLASS_NAMES)


class Network(nn.Module):
    """Five convolutions and a layer of features, which know where in the picture something is."""

    def __init__(self) -> None:
        super().__init__()
        channels, strides = (1, 24, 32, 48, 64, 32), (1, 2, 1, 2, 1)
        layers: list[nn.Module] = []
        for (inside, outside), stride in zip(itertools.pairwise(channels), strides, strict=True):
            convolution = nn.Conv2d(inside, outside, 3, stride, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(outside), nn.ReLU()]
        layers += [nn.Flatten(), nn.Dropout(0.2), nn.Linear(channels[-1] * 7 * 7, FEATURES), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(FEATURES, CLASSES)

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures [B, 1, 28, 28] in [-1, 1] to logits [B, classes] and features [B, D]."""
        features = self.body(picture)
        return self.head(features), features


def make(
    classifier: Path, reference: Path, progress: Callable[[int, int], None], folder: Path | None = None
) -> Reference:
    """Train the classifier, write both files, and return the reference.

    Args: where to write the .onnx and the .npz; what is told of steps done, of how many; the data set's folder.
    """
    folder = folder or FOLDER
    pictures, labels = load("train", folder)
    order = torch.from_numpy(np.random.default_rng(SEED).permutation(len(labels)))
    positions = balanced(labels[order], HELD_OUT_A_CLASS)
    held_out, kept = order[positions], order[np.setdiff1d(np.arange(len(order)), positions)]
    network = train(_floats(pictures[kept]), labels[kept], progress)
    export(network, classifier)

    judge = Classifier(classifier)  # what is committed makes the numbers, not the network in torch
    test, test_labels = (tensor.numpy() for tensor in load("test", folder))
    logits, features = judge(_floats(torch.from_numpy(test)).numpy())
    mean, covariance = fidelity.moments(features)
    shuffled = np.random.default_rng(SEED).permutation(len(test_labels))
    sample = shuffled[balanced(torch.from_numpy(test_labels[shuffled]), SAMPLE_A_CLASS)]
    result = Reference(
        mean=mean,
        covariance=covariance,
        sample=features[sample].astype(np.float16),
        class_counts=np.bincount(test_labels, minlength=CLASSES),
        about={
            "data": "Fashion-MNIST",
            "classifier_sha256": judge.sha256,
            "test_accuracy": fidelity.accuracy(logits, test_labels),
            "training": {"pictures": len(kept), "epochs": EPOCHS, "batch": BATCH, "seed": SEED},
            "rows": {},
        },
    )
    real, real_labels = _floats(pictures[held_out]).numpy(), labels[held_out].numpy()
    halved = resize(resize(real, 14, 14), 28, 28)
    rows = {"real": real, "halved": halved}
    scores = {name: dataclasses.asdict(result.score(*judge(row), real_labels)) for name, row in rows.items()}
    result.about["rows"] = scores
    result.save(reference)
    return result


def balanced(labels: Tensor, each: int) -> np.ndarray:
    """Positions of the first `each` pictures of every class, the classes taking turns: any part is balanced too."""
    return np.stack([np.flatnonzero(labels == c)[:each] for c in range(CLASSES)], 1).reshape(-1)


def train(pictures: Tensor, labels: Tensor, progress: Callable[[int, int], None]) -> Network:
    """Fit a network to float pictures [N, 1, 28, 28] and labels [N], shifting each batch by up to a pixel."""
    torch.manual_seed(SEED)
    network = Network()
    steps = EPOCHS * (len(labels) // BATCH)
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, steps, pct_start=0.2)
    padded = F.pad(pictures, (1, 1, 1, 1), value=-1.0)
    for step in range(steps):
        if step % (steps // EPOCHS) == 0:
            order = torch.randperm(len(labels))
        at = step % (steps // EPOCHS) * BATCH
        chosen = order[at : at + BATCH]
        x, y = torch.randint(3, (2,)).tolist()
        logits, _ = network(padded[chosen, :, y : y + 28, x : x + 28])
        optimiser.zero_grad()
        F.cross_entropy(logits, labels[chosen], label_smoothing=0.05).backward()
        optimiser.step()
        schedule.step()
        progress(step + 1, steps)
    return network.eval()


def export(network: Network, path: Path) -> None:
    """Write the network as one ONNX file, its weights inside."""
    program = torch.onnx.export(
        network,
        (torch.zeros(2, 1, 28, 28),),
        dynamo=True,
        opset_version=OPSET,
        dynamic_shapes=[{0: torch.export.Dim("batch")}],
        input_names=["picture"],
        output_names=["logits", "features"],
        verbose=False,
    )
    assert program is not None
    for node in program.model.graph:
        # Stack traces of the machine that exported do not belong into the file.
        node.metadata_props.clear()
        node.doc_string = None
    serialised = program.model_proto.SerializeToString()
    replace_file(path, lambda file: file.write(serialised))


def _floats(pictures: Tensor) -> Tensor:
    return pictures.float() / 127.5 - 1
