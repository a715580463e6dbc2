"""Every line of the log is an object of JSON."""

import io
import json
import logging

import pytest

from fdcn.serve import logs


@pytest.fixture
def written():
    """What was logged so far, read: a function."""
    names = ("fdcn", "uvicorn", "asyncio")
    before = [(logging.getLogger(name), dict(vars(logging.getLogger(name)))) for name in names]
    stream = io.StringIO()
    logs.configure(stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    for logger, state in before:
        logger.handlers, logger.propagate = state["handlers"], state["propagate"]
        logger.setLevel(state["level"])


def test_a_line_says_when_who_and_what(written):
    logging.getLogger("fdcn.serve.x").info("made %d", 3, extra={"fields": {"ms": 1.5, "name": "Étoile"}})
    (line,) = written()
    assert line.pop("time").endswith("Z")
    assert line == {"level": "info", "logger": "fdcn.serve.x", "message": "made 3", "ms": 1.5, "name": "Étoile"}


def test_lines_of_a_request_have_its_id(written):
    token = logs.request_id.set("abc")
    logging.getLogger("fdcn.serve").warning("inside")
    logs.request_id.reset(token)
    logging.getLogger("fdcn.serve").warning("outside")
    assert [line.get("request_id") for line in written()] == ["abc", None]


def test_an_exception_stays_in_its_line(written):
    try:
        raise ZeroDivisionError("first\nsecond")
    except ZeroDivisionError:
        logging.getLogger("uvicorn.error").exception("a\nb\u2028c")
    (line,) = written()
    assert line["message"] == "a\nb\u2028c"
    assert "ZeroDivisionError: first\nsecond" in line["exception"]


def test_what_is_no_json_is_written_as_text(written):
    logging.getLogger("fdcn").info("x", extra={"fields": {"at": logging}})
    assert "module" in written()[0]["at"]


def test_other_libraries_write_no_lines(written):
    logging.getLogger("uvicorn").info("chatter")
    logging.getLogger("somebody").info("chatter")
    assert written() == []
