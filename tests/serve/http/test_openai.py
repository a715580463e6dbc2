"""OpenAI's API, with OpenAI's client."""

import asyncio
import base64
import io

import numpy as np
import openai
import pytest
from PIL import Image

from fdcn.runtime.pipeline import Pipeline


@pytest.fixture(scope="module")
def served(serving, toy_bundle):
    with serving(toy_bundle, max_images=4) as served:
        yield served


@pytest.fixture(scope="module")
def client(served):
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def pipe(toy_bundle):
    with Pipeline(toy_bundle) as pipe:
        yield pipe


def pixels(text: str) -> np.ndarray:
    """[H, W, 1] of a picture in base64."""
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))
    return picture[:, :, None] if picture.ndim == 2 else picture


def test_pictures_are_those_of_the_pipeline(client, pipe):
    extra = {"seed": 7, "solver": "euler", "steps": 3, "guidance": 1.5}
    made = client.images.generate(prompt="Ring", n=2, size="16x12", extra_body=extra)
    wanted = pipe(["Ring"], count=2, size=(16, 12), seed=7, solver="euler", steps=3, guidance=1.5)
    assert (made.size, made.output_format, made.background) == ("16x12", "png", "opaque")
    assert [(image.revised_prompt, image.seed) for image in made.data] == [("Ring", 7), ("Ring", 8)]
    for image, pixels_wanted in zip(made.data, wanted.pixels, strict=True):
        assert np.array_equal(pixels(image.b64_json), pixels_wanted)


@pytest.mark.parametrize(("prompt", "label"), [("étoile", "Étoile"), (" disc ", "Disc"), ("1", "Ring")])
def test_prompts_are_names_or_indices_of_classes(client, prompt, label):
    assert client.images.generate(prompt=prompt).data[0].revised_prompt == label


def test_without_a_seed_pictures_differ_and_come_again_by_theirs(client):
    first, second = (client.images.generate(prompt="Disc").data[0] for _ in range(2))
    assert first.seed != second.seed
    assert first.b64_json != second.b64_json
    again = client.images.generate(prompt="Disc", extra_body={"seed": first.seed}).data[0]
    assert np.array_equal(pixels(again.b64_json), pixels(first.b64_json))


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_formats(client, format):
    made = client.images.generate(prompt="Disc", output_format=format, size="auto")
    assert made.output_format == format
    assert Image.open(io.BytesIO(base64.b64decode(made.data[0].b64_json))).format == format.upper()


def test_compression_is_quality(client):
    def size(quality):
        made = client.images.generate(
            prompt="Disc", output_format="jpeg", output_compression=quality, size="64x64", extra_body={"seed": 0}
        )
        return len(base64.b64decode(made.data[0].b64_json))

    assert size(5) < size(95)


def test_urls_hold_their_picture(client):
    image = client.images.generate(prompt="Disc", response_format="url", output_format="webp").data[0]
    assert image.b64_json is None
    kind, _, text = image.url.partition(",")
    assert kind == "data:image/webp;base64"
    assert Image.open(io.BytesIO(base64.b64decode(text))).format == "WEBP"


def test_what_has_no_meaning_here_is_accepted(client):
    made = client.images.generate(
        prompt="Disc",
        model="toy",
        quality="high",
        background="opaque",
        moderation="low",
        user="somebody",
        style="vivid",
    )
    assert len(made.data) == 1


def test_streams_have_partial_images_and_a_completed_one(client, pipe):
    extra = {"seed": 4, "solver": "euler", "steps": 40}
    events = list(client.images.generate(prompt="Ring", stream=True, partial_images=3, size="16x8", extra_body=extra))
    *partial, completed = events
    assert [event.type for event in partial] == ["image_generation.partial_image"] * len(partial)
    assert [event.partial_image_index for event in partial] == list(range(len(partial)))
    assert 1 <= len(partial) <= 3
    assert completed.type == "image_generation.completed"
    assert completed.usage.total_tokens == 0
    assert {event.size for event in events} == {"16x8"}
    assert {pixels(event.b64_json).shape for event in events} == {(8, 16, 1)}
    wanted = pipe(["Ring"], size=(16, 8), seed=4, solver="euler", steps=40).pixels[0]
    assert np.array_equal(pixels(completed.b64_json), wanted)


def test_streams_without_partial_images(client):
    (completed,) = client.images.generate(prompt="Ring", stream=True)
    assert completed.type == "image_generation.completed"


def test_the_async_client(served):
    async def ask():
        async with openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key="any") as client:
            made = await asyncio.gather(
                *(client.images.generate(prompt="Disc", extra_body={"seed": 1}) for _ in range(4))
            )
            stream = await client.images.generate(prompt="Disc", stream=True)
            return made, [event async for event in stream]

    made, events = asyncio.run(ask())
    assert len({each.data[0].b64_json for each in made}) == 1
    assert events[-1].type == "image_generation.completed"


def test_models(client):
    assert [model.id for model in client.models.list()] == ["toy"]
    assert client.models.retrieve("toy").object == "model"
    with pytest.raises(openai.NotFoundError, match="'toy'"):
        client.models.retrieve("gpt-image-1")


@pytest.mark.parametrize(
    ("options", "param", "words"),
    [
        ({"prompt": "Rung"}, "prompt", "'Ring'"),
        ({"prompt": ""}, "prompt", "at least 1"),
        ({"prompt": "Disc", "n": 0}, "n", "1"),
        ({"prompt": "Disc", "n": 5}, "n", "4"),
        ({"prompt": "Disc", "n": 2, "stream": True}, "n", "stream"),
        ({"prompt": "Disc", "size": "big"}, "size", "WIDTHxHEIGHT"),
        ({"prompt": "Disc", "size": "4096x4096"}, "size", "1024x1024"),
        ({"prompt": "Disc", "output_format": "gif"}, "output_format", "png"),
        ({"prompt": "Disc", "partial_images": 4, "stream": True}, "partial_images", "3"),
        ({"prompt": "Disc", "extra_body": {"steps": -1}}, "steps", "1"),
        ({"prompt": "Disc", "extra_body": {"solver": "x"}}, "solver", "euler"),
        ({"prompt": "Disc", "extra_body": {"file": "/etc/passwd"}}, "file", "not permitted"),
    ],
)
def test_errors_are_the_clients_exceptions(client, options, param, words):
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(**options)
    assert caught.value.param == param
    assert words in caught.value.body["message"]
    assert caught.value.type == "invalid_request_error"
    assert caught.value.request_id


def test_another_model_is_not_found(client):
    with pytest.raises(openai.NotFoundError) as caught:
        client.images.generate(prompt="Disc", model="dall-e-3")
    assert caught.value.code == "model_not_found"


def test_wrong_keys_are_the_clients_exception(serving, toy_bundle, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("right")
    with serving(toy_bundle, api_key_file=keys) as served:
        client = openai.OpenAI(base_url=f"{served.url}/v1", api_key="right")
        assert client.images.generate(prompt="Disc").data
        with pytest.raises(openai.AuthenticationError, match="not known"):
            client.with_options(api_key="wrong").images.generate(prompt="Disc")
