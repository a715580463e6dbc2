"""`fdcn serve`: its options, and its errors in a line."""

import dataclasses
from pathlib import Path

import pytest
from click.testing import CliRunner

from fdcn.cli import cli
from fdcn.errors import FdcnError
from fdcn.serve import logs
from fdcn.serve.http import server
from fdcn.serve.settings import MIB, Settings


@pytest.fixture
def invoke(monkeypatch):
    """Run `fdcn serve` up to where the server begins: (result, what it was given)."""
    given = []
    monkeypatch.setattr(server, "serve", lambda *arguments: given.append(arguments))
    monkeypatch.setattr(logs, "configure", lambda: None)

    def run(*words):
        result = CliRunner().invoke(cli, ["serve", *map(str, words)])
        return result, given[-1] if given else None

    return run


def test_without_options_it_serves_this_machine_with_the_defaults(invoke):
    result, (settings, host, port, announce) = invoke()
    assert result.exit_code == 0
    assert result.output == ""
    assert settings == Settings(bundle=Path("fdcn-model"))
    assert (host, port) == ("127.0.0.1", 8000)
    assert callable(announce)


def test_every_option_reaches_the_server(invoke):
    words = [*("toy", "--host", "127.0.0.2", "--port", 0, "--backend", "onnxruntime", "--device", 1)]
    words += ["--warmup", "64x32", "--warmup", "8x8x3", "--max-batch", 4, "--max-delay-ms", 2.5, "--max-queue", 9]
    words += ["--max-images", 3, "--max-size", "512x256", "--max-steps", 50, "--deadline", 20, "--max-body", 0.5]
    words += ["--api-key-file", "keys", "--cors-origin", "http://a", "--cors-origin", "http://b"]
    words += ["--drain-seconds", 3, "--allow-bundled-code"]
    result, (settings, host, port, _) = invoke(*words)
    assert result.exit_code == 0, result.output
    assert (host, port) == ("127.0.0.2", 0)
    assert settings == Settings(
        bundle=Path("toy"),
        backend="onnxruntime",
        device=1,
        allow_bundled_code=True,
        warmup=((64, 32, 4), (8, 8, 3)),
        max_batch=4,
        max_delay=0.0025,
        max_queue=9,
        max_images=3,
        max_size=(512, 256),
        max_steps=50,
        deadline=20,
        max_body=MIB // 2,
        api_key_file=Path("keys"),
        cors_origins=("http://a", "http://b"),
        drain=3,
    )
    unchanged = {"body_seconds", "max_connections"}
    changed = {f.name for f in dataclasses.fields(Settings) if f.name != "bundle"} - unchanged
    assert all(getattr(settings, name) != getattr(Settings, name) for name in changed)


@pytest.mark.parametrize(
    ("host", "warned"), [("0.0.0.0", True), ("::", True), ("example.org", True), ("localhost", False), ("::1", False)]
)
def test_open_to_everybody_is_said(invoke, host, warned):
    result, (_, given, _, _) = invoke("--host", host)
    assert given == host
    assert ("--api-key-file" in result.stderr) == warned
    assert result.stdout == ""
    assert "warning" not in invoke("--host", host, "--api-key-file", "keys")[0].stderr


@pytest.mark.parametrize(
    "words",
    [
        *(("--warmup", "3"), ("--warmup", "0x8"), ("--warmup", "8x8x8x8"), ("--max-size", "8")),
        *(("--port", 65536), ("--max-batch", 0), ("--max-delay-ms", -1), ("--deadline", 0), ("--max-body", 0)),
        *(("--backend", "torch"), ("a", "b")),
    ],
)
def test_wrong_options_are_errors_of_usage(invoke, words):
    result, given = invoke(*words)
    assert result.exit_code == 2
    assert given is None


@pytest.mark.parametrize(
    ("words", "says"), [(("--max-queue", 3), "--max-queue"), (("--deadline", "nan"), "deadline of nan seconds")]
)
def test_settings_that_cannot_be_are_errors(invoke, words, says):
    result, given = invoke(*words)
    assert isinstance(result.exception, FdcnError)
    assert says in str(result.exception)
    assert given is None


def test_errors_are_one_line_of_a_process(fdcn, toy_bundle, tmp_path):
    (tmp_path / "keys").write_text("# none\n")
    done = fdcn("serve", toy_bundle.path, "--port", 0, "--api-key-file", "keys")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: keys has no key")
    assert len(done.stderr.splitlines()) == 1
