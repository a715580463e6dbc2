"""Say in the file itself what it is and where it comes from."""

from collections.abc import Mapping

import onnx_ir as ir


def stamp(model: ir.Model, name: str, version: str, metadata: Mapping[str, str]) -> bool:
    """Name the graph and its producer, and write the metadata's entries."""
    model.graph.name = name
    model.producer_name, model.producer_version = "fdcn", version
    model.doc_string = None
    model.metadata_props.clear()
    model.metadata_props.update({f"fdcn.{key}": value for key, value in metadata.items()})
    return True
