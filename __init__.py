"""Deploy FlowDCN: a checkpoint to ONNX and engines, and pictures of any size from them."""

from typing import TYPE_CHECKING, Any

from fdcn.errors import FdcnError

if TYPE_CHECKING:
    from fdcn.runtime.pipeline import Pipeline, load

__version__ = "0.1.0"
DEFAULT_BUNDLE = "fdcn-model"
"""The bundle that commands and `load` work on where none is named."""
__all__ = ["DEFAULT_BUNDLE", "FdcnError", "Pipeline", "__version__", "load"]


def __getattr__(name: str) -> Any:
    # On first use: `import fdcn` must not cost what NumPy and a runtime cost.
    if name in ("load", "Pipeline"):
        from fdcn.runtime import pipeline

        return getattr(pipeline, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
