"""The native API: every option, against the pipeline itself."""

import base64
import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from raw_http import httpx

from fdcn.runtime.pipeline import Pipeline
from fdcn.serve.http import bodies
from fdcn.serve.http.errors import ApiError


@pytest.fixture(scope="module")
def client(serving, toy_bundle):
    with serving(toy_bundle) as served, httpx.Client(base_url=served.url, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def pipe(toy_bundle):
    with Pipeline(toy_bundle) as pipe:
        yield pipe


def generate(client, **body):
    answer = client.post("/v1/generate", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def pixels(image: dict) -> np.ndarray:
    """[H, W, 1] of a picture of a result."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(image["b64_json"]))))[:, :, None]


def npy(array: np.ndarray) -> str:
    file = io.BytesIO()
    np.save(file, array)
    return base64.b64encode(file.getvalue()).decode()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"labels": ["Ring", 0, "2"], "count": 2, "seed": 5},
        {"labels": [0, 1], "seeds": [9, 2**64 - 1]},
        {"labels": [0], "seed": -1},
        {"labels": [0], "seed": 10**40},
        {"labels": [0], "size": [20, 9]},
        {"labels": [0], "size": [20, 9], "s_max_adjust": False},
        {"labels": [0], "solver": "heun", "steps": 3},
        {"labels": [0], "solver": "euler-sde", "steps": 4, "last_step": 0.1},
        {"labels": [0], "guidance": 1, "steps": 5},
        {"labels": [0], "guidance": 6.5, "guidance_channels": "3", "guidance_interval": [0.2, 0.9]},
    ],
    ids=json.dumps,
)
def test_every_option_means_what_it_means_to_the_pipeline(client, pipe, options):
    body, wanted = dict(options), dict(options)
    if "size" in options:
        body["size"], wanted["size"] = "{}x{}".format(*options["size"]), tuple(options["size"])
    if "guidance_interval" in options:
        wanted["guidance_interval"] = tuple(options["guidance_interval"])
    made, images = generate(client, **body, latents=True), pipe(**wanted)
    assert made["parameters"] == json.loads(json.dumps(images.parameters()))
    assert [(image["label"], image["seed"]) for image in made["images"]] == list(
        zip(images.names, images.request.seeds, strict=True)
    )
    assert np.array_equal(np.stack([pixels(image) for image in made["images"]]), images.pixels)
    latents = np.load(io.BytesIO(base64.b64decode(made["latents"])))
    assert latents.dtype == np.float32
    assert np.array_equal(latents, images.latents)


def test_a_result_gives_itself_again(client):
    first = generate(client, labels=["Disc", "Ring"], size="12x8", seed=3, guidance=2.5)
    parameters = first["parameters"] | {"size": "{}x{}".format(*first["parameters"]["size"])}
    again = generate(client, **{name: value for name, value in parameters.items() if name != "noise"})
    assert again["images"] == first["images"]


def test_the_rest_of_a_result(client):
    made = generate(client, labels=[0])
    assert made["model"] == "toy"
    assert made["latents"] is None
    assert made["timing"]["batch"] >= 1
    assert made["timing"]["sampling_ms"] > 0
    assert made["timing"]["queued_ms"] >= 0
    assert made["output_format"] == "png"
    assert len(made["id"]) == 16


@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<f2", "<i2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_noise(client, pipe, dtype, order):
    noise = np.asarray(np.random.default_rng(0).normal(0, 2, (2, 1, 8, 12)), dtype, order=order)
    made = generate(client, labels=["Ring"], noise=npy(noise))
    wanted = pipe(["Ring"], noise=noise)
    assert np.array_equal(np.stack([pixels(image) for image in made["images"]]), wanted.pixels)


def test_models_are_described(client):
    found = client.get("/v1/model").json()
    assert found["model"] == "toy"
    assert found["class_names"] == ["Disc", "Ring", "Étoile"]
    assert found["train_size"] == [8, 8]
    assert "euler" in found["solvers"]


def header(text: str, data: bytes = b"") -> str:
    raw = text.encode().ljust(118) + b"\n"
    return base64.b64encode(b"\x93NUMPY\x01\x00" + len(raw).to_bytes(2, "little") + raw + data).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "é",
        "AAAA",
        "not base64",
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 8, 8)}", b"\0" * 255),
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 8, 8)}", b"\0" * 257),
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000, 1000, 1000)}"),
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, -1, 8, 8)}", b"\0" * 256),
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 10000000000000000000000)}"),
        header("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", b"\x80\x04N."),
        header("{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}", b"\0" * 8),
        header("{'descr': '|S0', 'fortran_order': False, 'shape': (5,)}"),
        header("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", b"\0" * 4),
        header("__import__('os')"),
        header("[" * 100),
        npy(np.zeros((1, 1, 8, 8)))[:-20],
    ],
)
def test_what_is_no_array_is_refused(text):
    with pytest.raises(ApiError) as caught:
        bodies.read_npy(text)
    assert (caught.value.status, caught.value.param) == (400, "noise")


@given(st.binary(max_size=300), st.booleans())
def test_arrays_are_read_or_refused(data, begun):
    try:
        bodies.read_npy(base64.b64encode(b"\x93NUMPY\x01\x00" * begun + data).decode())
    except ApiError as error:
        assert error.status == 400


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_json_is_read_or_refused(data):
    try:
        found = bodies.parse(data)
    except ApiError as error:
        assert error.status == 400
    else:
        assert found == json.loads(data)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(VALUES)
def test_json_says_what_it_says(value):
    assert bodies.parse(json.dumps(value).encode()) == value
