"""Every sentence that running a bundle can end with, from one table, which the C++ runtime is generated from too."""

import functools
import json
from importlib import resources


def say(key: str, /, **values: object) -> str:
    """The sentence of a key, such as "request.count", with its values put in as `str` writes them."""
    section, _, name = key.partition(".")
    return table()[section][name].format_map(values)


@functools.cache
def table() -> dict[str, dict[str, str]]:
    """Every sentence by section and name; {name} stands for a value."""
    sentences: dict[str, dict[str, str]] = json.loads(
        resources.files("fdcn.data").joinpath("messages.json").read_text("utf-8")
    )
    return sentences
