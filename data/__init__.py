"""Tables that come with the package.

`imagenet_classes.txt` holds one name a line in the order of ILSVRC 2012's class indices. They are the short names of
torchvision 0.29 (`torchvision.models._meta`, BSD licence); the five that read alike were told apart by hand:
crane (bird) and (machine), Cardigan (dog) and cardigan (garment), maillot (tank suit).
"""

from importlib import resources


def imagenet_class_names() -> list[str]:
    """The 1000 ImageNet classes by index; no two are equal, whatever their capitals."""
    return resources.files(__name__).joinpath("imagenet_classes.txt").read_text(encoding="utf-8").splitlines()
