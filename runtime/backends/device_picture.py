"""From latents on the device to pixels there."""

import math

import numpy as np

from fdcn.runtime.backends.device_layout import Tensor
from fdcn.runtime.backends.device_shape import Shape
from fdcn.runtime.backends.trt_engine import TrtEngine
from fdcn.runtime.backends.trt_graph import Context
from fdcn.runtime.kernels import SamplerKernels


class Picture:
    """The decoder for one shape of batch, or where the bundle has none the preview of a latent.

    The decoder takes a part of the batch at a time, in memory of its own: TensorRT's addresses are aligned, those of
    an image within a batch may not be.
    """

    def __init__(self, engine: TrtEngine, kernels: SamplerKernels, shape: Shape) -> None:
        """Made in the engine's turn. Raises FdcnError where no profile of the decoder holds the size."""
        self._kernels, self._device, self._shape = kernels, engine.device, shape
        channels, height, width = shape.latent
        self._parts = [slice(0, shape.images)]
        self._contexts: dict[int, Context] = {}
        self._factor = engine.manifest.pixel_factor
        self._picture: tuple[int, int, int] = (3, height * self._factor, width * self._factor)
        if "decoder" in engine.graphs:
            graph = engine.graphs["decoder"]
            (self._output,) = graph.outputs
            profile, self._parts = engine.fitting("decoder", shape.images, (height, width))
            for part in self._parts:
                if (images := part.stop - part.start) not in self._contexts:
                    context = self._contexts[images] = graph.context()
                    context.reshape(profile, {"latent": (images, *shape.latent)}, self._device.stream)
                    _, *picture = context.shape(self._output)
                    self._picture = picture[0], picture[1], picture[2]
        most = max(part.stop - part.start for part in self._parts)
        self.tensors = {"part": Tensor((most, channels, height, width)), "picture": Tensor((most, *self._picture))}
        """Memory for `place`, by name."""
        self.pixels = Tensor((shape.images, *reversed(shape.size), self._picture[0]), np.uint8)
        """What is made: [B, H, W, C]."""
        self._addresses: dict[str, int] = {}

    def place(self, addresses: dict[str, int]) -> None:
        """Where `tensors` lie."""
        self._addresses = addresses
        for context in self._contexts.values():
            context.bind("latent", addresses["part"])
            context.bind(self._output, addresses["picture"])

    def enqueue(self, latents: int, pixels: int, stream: int) -> None:
        """Make all pixels of the batch's latents; both are addresses."""
        image, made = 4 * math.prod(self._shape.latent), self.pixels.bytes // self._shape.images
        for part in self._parts:
            images, source = part.stop - part.start, latents + part.start * image
            if images in self._contexts:
                where = self._addresses["part"]
                self._device.copy("latents", where, source, images * image, "DeviceToDevice", stream)
                self._contexts[images].enqueue(stream)
            else:
                self._kernels.latent_preview(
                    source, self._addresses["picture"], images, *self._shape.latent, self._factor, stream
                )
            self._kernels.to_pixels(
                self._addresses["picture"], pixels + part.start * made, images, self._picture, self._shape.size, stream
            )
