"""What requests and answers hold, as the OpenAPI page states it."""

import dataclasses
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from fdcn.runtime.tables import MAX_STEPS, SOLVERS
from fdcn.serve.generator import Description
from fdcn.sizes import parse_size

SIZE = r"^[1-9][0-9]{0,8}x[1-9][0-9]{0,8}$"
LABELS_AT_MOST = 1000
PREVIEWS_AT_MOST = 3
"""Of OpenAI's `partial_images`."""

NUMBERS_AT_MOST = 999_999_999
"""Of labels and counts: what is refused later is named in a sentence."""

Label = Annotated[str, Field(min_length=1, max_length=200)] | Annotated[int, Field(ge=0, le=NUMBERS_AT_MOST)]
Compression = Annotated[int, Field(ge=0, le=100, description="Quality of JPEG and WebP; PNG has none.")]
Steps = Annotated[int, Field(ge=1, le=MAX_STEPS)]
Guidance = Annotated[float, Field(allow_inf_nan=False, description="Scale of classifier-free guidance; 1 is none.")]
Solver = Annotated[str, Field(max_length=100, description=f"One of {', '.join(SOLVERS)}.")]
Format = Literal["png", "jpeg", "webp"]


def _size(text: str) -> str:
    parse_size(text)
    return text


def _size_or_auto(text: str) -> str:
    return text if text == "auto" else _size(text)


Size = Annotated[str, AfterValidator(_size), Field(json_schema_extra={"pattern": SIZE}, examples=["512x256"])]
SizeOrAuto = Annotated[
    str, AfterValidator(_size_or_auto), Field(json_schema_extra={"pattern": f"^auto$|{SIZE}"}, examples=["512x256"])
]


class Strict(BaseModel):
    """A request: no unknown fields, no numbers in strings."""

    model_config = ConfigDict(extra="forbid", strict=True)


class GenerateRequest(Strict):
    """The options of `fdcn run`."""

    labels: list[Label] | None = Field(
        None,
        min_length=1,
        max_length=LABELS_AT_MOST,
        description="Class names or indices, each sampled `count` times; every class where there are at most ten, "
        "else class 0.",
    )
    count: int = Field(1, ge=1, le=NUMBERS_AT_MOST)
    size: Size | None = Field(None, description="WIDTHxHEIGHT in pixels; the training size by default.")
    seed: int = Field(0, description="Image i has seed + i, modulo 2⁶⁴.")
    seeds: list[int] | None = Field(
        None, min_length=1, max_length=LABELS_AT_MOST, description="One an image, instead of `seed`."
    )
    solver: Solver | None = None
    steps: Steps | None = None
    last_step: float | None = Field(None, allow_inf_nan=False, description="In (0, 1); for Euler and Heun.")
    guidance: Guidance | None = None
    guidance_channels: Literal["all", "3"] = "all"
    guidance_interval: list[Annotated[float, Field(ge=0, le=1)]] | None = Field(
        None, min_length=2, max_length=2, description="[lo, hi] with 0 <= lo <= hi <= 1: times t that are guided."
    )
    s_max_adjust: bool | None = Field(
        None, description="Lengthen taps for sizes beyond training; the bundle's default where it is missing."
    )
    preview_every: int = Field(
        0, ge=0, le=MAX_STEPS, description="Evaluations from one preview to the next, 0 for none; with `stream`."
    )
    noise: str | None = Field(
        None, description="Initial latent [images, C, h, w]: the base64 of an .npy file. It sets the size."
    )
    latents: bool = Field(False, description="Give the final latents too.")
    output_format: Format = "png"
    output_compression: Compression | None = None
    stream: bool = Field(
        False, description="Answer with server-sent events: `progress`, `preview`, and one `result` or `error`."
    )
    deadline: float | None = Field(
        None, ge=1, allow_inf_nan=False, description="Seconds until it is given up; the server's own by default."
    )


class Picture(BaseModel):
    """One picture of a result."""

    b64_json: str = Field(description="The file, in base64.")
    label: str
    seed: int


class Timing(BaseModel):
    """Where the time went."""

    queued_ms: float = Field(description="From arrival to the first evaluation's begin.")
    sampling_ms: float = Field(description="From there to the last pixel.")
    batch: int = Field(description="Pictures that were sampled together, those of other requests among them.")


class GenerateResponse(BaseModel):
    """Pictures, and what made them."""

    id: str
    created: int = Field(description="Unix time.")
    model: str
    output_format: Format
    images: list[Picture]
    parameters: dict[str, Any] = Field(description="What made them, complete, as it stands in PNG files.")
    notes: list[str]
    latents: str | None = Field(description="float32 [images, C, h, w]: the base64 of an .npy file.")
    timing: Timing


class ProgressEvent(BaseModel):
    """How far it is; begins again where a request is repeated."""

    done: int = Field(description="Evaluations of the network that are done.")
    total: int


class PreviewEvent(ProgressEvent):
    """The pictures that some are heading for."""

    first: int = Field(description="The index of the first of them in the request.")
    images: list[str] = Field(description="Files, in base64.")


class ModelResponse(BaseModel):
    """What is being served."""

    model: str
    backend: str
    classes: int
    class_names: list[str] | None
    channels: int
    train_size: list[int] = Field(description="[width, height]; the size of a request without one.")
    fixed_size: list[int] | None = Field(description="The only size, where there is only one.")
    solver: str
    steps: int
    guidance: float
    reads: str = Field(description="Tells one bundle from another: first digits of its manifest's SHA-256.")
    max_size: list[int]
    max_images: int
    solvers: list[str]
    deadline: float

    @classmethod
    def of(cls, description: Description, deadline: float) -> "ModelResponse":
        """The description with what is the same for every bundle."""
        return cls(**dataclasses.asdict(description), solvers=list(SOLVERS), deadline=deadline)


class OpenAIRequest(Strict):
    """OpenAI's request for images, and `seed`, `solver`, `steps` and `guidance` beyond it."""

    prompt: str = Field(min_length=1, max_length=1000, description="A class's name or index.")
    model: str | None = Field(None, max_length=200, description="The served model's name, or nothing.")
    n: int | None = Field(None, ge=1, le=NUMBERS_AT_MOST)
    size: SizeOrAuto | None = Field(None, description="WIDTHxHEIGHT in pixels, or auto for the training size.")
    response_format: Literal["b64_json", "url"] | None = Field(
        None, description="The default is b64_json; url gives a data: URL, as nothing is kept here."
    )
    output_format: Format | None = None
    output_compression: Compression | None = None
    stream: bool | None = None
    partial_images: int | None = Field(None, ge=0, le=PREVIEWS_AT_MOST, description="With `stream`.")
    seed: int | None = Field(None, description="Image i has seed + i; drawn where it is missing.")
    solver: Solver | None = None
    steps: Steps | None = None
    guidance: Guidance | None = None
    quality: str | None = Field(None, max_length=100, description="Without effect.")
    style: str | None = Field(None, max_length=100, description="Without effect.")
    background: str | None = Field(None, max_length=100, description="Without effect: pictures are opaque.")
    moderation: str | None = Field(None, max_length=100, description="Without effect.")
    complexity: str | None = Field(None, max_length=100, description="Without effect.")
    user: str | None = Field(None, max_length=1000, description="Without effect.")
    safety_identifier: str | None = Field(None, max_length=1000, description="Without effect.")


class OpenAIImage(BaseModel):
    """One picture: the file in base64, or its data: URL."""

    b64_json: str | None = None
    url: str | None = None
    revised_prompt: str = Field(description="The class that the prompt was read as.")
    seed: int


class OpenAIResponse(BaseModel):
    """OpenAI's answer with images."""

    created: int
    background: Literal["opaque"] = "opaque"
    output_format: Format
    size: str
    data: list[OpenAIImage]


class OpenAIEvent(BaseModel):
    """What the events of a stream have in common."""

    b64_json: str
    created_at: int
    size: str
    quality: Literal["auto"]
    background: Literal["opaque"]
    output_format: Format


class OpenAIPartialImage(OpenAIEvent):
    """The picture that it is heading for."""

    type: Literal["image_generation.partial_image"]
    partial_image_index: int


class OpenAICompleted(OpenAIEvent):
    """The picture."""

    type: Literal["image_generation.completed"]
    usage: dict[str, Any] = Field(description="Tokens, of which there are none here.")
    seed: int


class OpenAIModel(BaseModel):
    """OpenAI's description of a model."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "fdcn"


class OpenAIModels(BaseModel):
    """OpenAI's list of models: the one that is served."""

    object: Literal["list"] = "list"
    data: list[OpenAIModel]


class Health(BaseModel):
    """It runs."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """It takes requests."""

    ready: bool
    backend: str
    model: str
    reads: str
    waiting: int = Field(description="Pictures that were accepted and are not done.")


class ErrorDetail(BaseModel):
    """What went wrong, and what to do."""

    message: str
    type: str
    param: str | None = Field(description="The field that is to be changed.")
    code: str


class ErrorResponse(BaseModel):
    """OpenAI's answer with an error."""

    error: ErrorDetail


class Unready(ErrorResponse):
    """It takes none: it is starting, or about to end."""

    ready: Literal[False]
    waiting: int
