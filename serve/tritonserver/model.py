"""What Triton's Python backend runs: `1/model.py` of a model repository imports `TritonPythonModel` from here.

Triton batches requests and hands them over together; each call of `execute` answers all that it was given.
"""

import contextlib
import importlib
import json
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, as_completed
from pathlib import Path
from typing import Any

from fdcn.errors import FdcnError, OutOfMemory
from fdcn.runtime.images import Images
from fdcn.runtime.pipeline import load
from fdcn.serve.admission import granted
from fdcn.serve.generator import Ask
from fdcn.serve.loaded import warm_up
from fdcn.serve.tritonserver.config import granting
from fdcn.serve.tritonserver.reading import read_options
from fdcn.serve.tritonserver.replies import Cancelled, Reply, StreamedReply
from fdcn.serve.tritonserver.tensors import inputs

BUNDLE = "bundle"
"""The folder of the bundle beside `model.py`."""
GATHERING = 0.005
"""Seconds that the pipeline waits for the rest of what Triton has handed over together; a full batch waits for none."""
log = logging.getLogger(__name__)


class TritonPythonModel:
    """The model, one a process of Triton's; the methods are those that its Python backend calls."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open the bundle in the model's version folder and warm it up. What this raises, Triton logs."""
        self._triton: Any = importlib.import_module("triton_python_backend_utils")
        config = json.loads(args["model_config"])
        self._stream = self._triton.using_decoupled_model_transaction_policy(config)
        self._settings = granting(config, Path(args["model_repository"], args["model_version"], BUNDLE))
        self._pipe = load(
            self._settings.bundle,
            self._settings.backend,
            device=int(args["model_instance_device_id"]) if args["model_instance_kind"] == "GPU" else None,
            allow_bundled_code=self._settings.allow_bundled_code,
            max_batch=self._settings.max_images,
            max_delay=GATHERING,
        )
        manifest = self._pipe.bundle.manifest
        self._inputs = [tensor.name for tensor in inputs(manifest, self._stream)]
        warm_up(self._pipe, (), self._settings.max_images)

    def execute(self, requests: Sequence[Any]) -> list[Any] | None:
        """Answer requests, in their order; in the streaming layout by responses that are sent meanwhile."""
        replies = [(StreamedReply if self._stream else Reply)(self._triton, request) for request in requests]
        futures: dict[Future[Images], Reply] = {}
        for request, reply in zip(requests, replies, strict=True):
            with _answered(reply):
                futures[self._submit(request, reply)] = reply
        for future in as_completed(futures):
            with _answered(futures[future]):
                futures[future].pictures(future.result())
        return None if self._stream else [reply.response for reply in replies]

    def finalize(self) -> None:
        """Give back memory."""
        self._pipe.close()

    def _submit(self, request: Any, reply: Reply) -> "Future[Images]":
        """Begin a request. Raises FdcnError where it is impossible, or beyond what the configuration grants."""
        given = {name: self._triton.get_input_tensor_by_name(request, name) for name in self._inputs}
        options = read_options({name: tensor.as_numpy() for name, tensor in given.items() if tensor is not None})
        ask = Ask(request.request_id(), options, self._settings.deadline, watched=self._stream)
        granted(self._pipe.bundle.manifest, ask, self._settings)
        return self._pipe.submit(**options, progress=reply.progress, preview=reply.preview)


@contextlib.contextmanager
def _answered(reply: Reply) -> Iterator[None]:
    """Answer with what is raised; with a bug too, for its caller would wait forever, and others are not concerned."""
    try:
        yield
    except OutOfMemory as error:
        reply.error(str(error), "UNAVAILABLE")
    except FdcnError as error:
        reply.error(str(error), "INVALID_ARG")
    except Cancelled:
        reply.error("cancelled", "CANCELLED")
    except Exception:
        log.exception("a request failed")
        reply.error("this is a bug of fdcn; the server's log has more", "INTERNAL")
