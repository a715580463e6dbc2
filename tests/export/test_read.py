"""Reading a bundle's graph for a pass: what it is, and what is refused before any work is done."""

import os
import shutil

import pytest

from fdcn.errors import FdcnError
from fdcn.export.read import read


@pytest.fixture
def graph(tiny_bundle, tmp_path):
    """The denoiser's file in a copy of the tiny bundle."""
    copy = shutil.copytree(tiny_bundle.path, tmp_path / "copy")
    return copy / tiny_bundle.manifest.graphs["denoiser"].file


def test_the_whole_graph_is_read(graph):
    assert read(graph).graph.name == "denoiser"


def test_a_file_that_is_no_graph_is_refused(graph):
    graph.write_text("no graph")
    with pytest.raises(FdcnError, match=r"no ONNX file that can be read .*run fdcn export again"):
        read(graph)


def test_weights_with_several_names_are_refused_with_the_way_out(graph, tmp_path):
    os.link(f"{graph}.data", tmp_path / "second name")
    with pytest.raises(FdcnError, match=r"denoiser.onnx.data has other names too .*cp -r"):
        read(graph)
