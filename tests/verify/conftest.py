"""The native operator for one test."""

import pytest

from fdcn.plugins import libraries


@pytest.fixture
def native_operator(native_cache, monkeypatch):
    """Let fdcn find the native operator, built; `libraries.find` says the same all through a process."""
    monkeypatch.setenv("FDCN_CACHE", str(native_cache))
    libraries.find.cache_clear()
    yield
    libraries.find.cache_clear()
