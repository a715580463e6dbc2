"""API keys: who may use /v1."""

import hashlib
import hmac
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from fdcn.errors import FdcnError
from fdcn.serve.http.errors import ApiError

PROTECTED = "/v1/"


class Keys:
    """SHA-256 of each key of a file, one a line; empty lines and those that begin with # are none."""

    def __init__(self, file: Path) -> None:
        """Raises FdcnError as `read` does."""
        self._file = file
        self.read()

    def read(self) -> None:
        """Take what the file has now. Raises FdcnError where it cannot be read or has no key; those taken stay."""
        self._digests = _read(self._file)

    def known(self, key: str) -> bool:
        """Whether it is one of them. Takes the same time whatever it is."""
        asked = _digest(key)
        # All are compared: the time tells neither how much of a key is right nor which one it was.
        return sum(hmac.compare_digest(asked, digest) for digest in self._digests) > 0


def _read(file: Path) -> tuple[bytes, ...]:
    try:
        lines = file.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FdcnError(f"cannot read the keys in {file}: {error}") from error
    keys = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
    if not keys:
        raise FdcnError(f"{file} has no key: write one a line, or leave out --api-key-file to serve every caller")
    return tuple(map(_digest, keys))


class Authentication:
    """Lets requests for /v1 through that carry a key; ASGI."""

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        self.app, self.keys = app, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Anywhere in the path, as a proxy's prefix may stand before it; nothing open has it in its own.
        if scope["type"] == "http" and PROTECTED in scope["path"] and not self.keys.known(_bearer(scope)):
            await _refusal(scope).response()(scope, receive, send)
            return
        await self.app(scope, receive, send)


def _bearer(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, key = _text(value).partition(" ")
            return key.strip() if scheme.lower() == "bearer" else ""
    return ""


def _text(header: bytes) -> str:
    """A header as it was meant: browsers write Latin-1, other clients UTF-8."""
    try:
        return header.decode("utf-8")
    except UnicodeDecodeError:
        return header.decode("latin-1")


def _refusal(scope: Scope) -> ApiError:
    message = "this key is not known here" if _bearer(scope) else "this server wants a key: Authorization: Bearer KEY"
    return ApiError(401, message, "invalid_api_key", headers={"WWW-Authenticate": "Bearer"})


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
