"""What is answered to one of Triton's requests: a response, or in the streaming layout several."""

import base64
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from fdcn.runtime.images import Images
from fdcn.serve.encode import encode, of_each
from fdcn.serve.generator import Encoding


class Cancelled(Exception):
    """Nobody waits for the pictures any more."""


class Reply:
    """Answers one request, in its one response; `triton` is the module that Triton's Python backend brings."""

    def __init__(self, triton: Any, request: Any) -> None:
        self._triton, self._request = triton, request
        self._wanted = set(request.requested_output_names())
        self.response: Any = None
        """The answer, when it is made."""

    def cancelled(self) -> bool:
        """Whether nobody waits for it any more."""
        return bool(self._request.is_cancelled())

    def progress(self, done: int, total: int) -> None:
        """As `Pipeline` tells it. Raises Cancelled."""
        if self.cancelled():
            raise Cancelled

    def preview(self, done: int, first: int, pixels: np.ndarray) -> None:
        """As `Pipeline` shows it."""

    def pictures(self, images: Images) -> None:
        """Answer with the outputs that the request asks for."""
        each = of_each(images.parameters())
        self._end(
            self._tensors(
                PIXELS=lambda: images.pixels,
                LATENTS=lambda: images.latents,
                PNG=lambda: _texts(_png(p, made) for p, made in zip(images.pixels, each, strict=True)),
                PARAMETERS=lambda: _texts(json.dumps(made, ensure_ascii=False).encode() for made in each),
            )
        )

    def error(self, message: str, code: str) -> None:
        """Answer that it cannot be done; `code` is one of TritonError's."""
        error = self._triton.TritonError(message, getattr(self._triton.TritonError, code))
        self._end([], error)

    def _tensors(self, **makers: Callable[[], np.ndarray]) -> list[Any]:
        return [self._triton.Tensor(name, make()) for name, make in makers.items() if name in self._wanted]

    def _end(self, tensors: list[Any], error: Any = None) -> None:
        self.response = self._triton.InferenceResponse(output_tensors=tensors, error=error)


class StreamedReply(Reply):
    """Answers with a response for each evaluation of the network and each preview, and one at the end."""

    def __init__(self, triton: Any, request: Any) -> None:
        super().__init__(triton, request)
        self._sender = request.get_response_sender()
        self._previews: list[dict[str, np.ndarray]] = []  # until it is told how many evaluations there are

    def cancelled(self) -> bool:
        return bool(self._sender.is_cancelled())

    def progress(self, done: int, total: int) -> None:
        super().progress(done, total)
        for shown in self._previews:
            self._send(shown, total)
        self._previews = []
        self._send({"DONE": np.full((1, 1), done, np.int32)}, total)

    def preview(self, done: int, first: int, pixels: np.ndarray) -> None:
        rows = len(pixels)
        shown = {"DONE": np.full((rows, 1), done, np.int32), "FIRST": np.full((rows, 1), first, np.int32)}
        if "PNG" in self._wanted:
            shown["PNG"] = _texts(map(_png, pixels))
        self._previews.append({**shown, "PIXELS": pixels})

    def _send(self, shown: dict[str, np.ndarray], total: int) -> None:
        shown = {**shown, "TOTAL": np.full_like(shown["DONE"], total)}
        tensors = [self._triton.Tensor(name, rows) for name, rows in shown.items() if name in self._wanted]
        if tensors:
            self._sender.send(self._triton.InferenceResponse(output_tensors=tensors))

    def _end(self, tensors: list[Any], error: Any = None) -> None:
        super()._end(tensors, error)
        self._sender.send(self.response, flags=self._triton.TRITONSERVER_RESPONSE_COMPLETE_FINAL)


def _texts(rows: Any) -> np.ndarray:
    """Texts as Triton has them: bytes, a row each."""
    return np.array([[row] for row in rows], dtype=np.object_)


def _png(pixels: np.ndarray, parameters: dict[str, Any] | None = None) -> bytes:
    return base64.b64encode(encode(pixels, Encoding(), parameters))
