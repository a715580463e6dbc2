"""The page and its files, from the package."""

import hashlib
from importlib import resources

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
)
INDEX = "index.html"


def page_router() -> APIRouter:
    """GET / and /page/{name}."""
    router = APIRouter(include_in_schema=False)
    files = _files()

    def answer(request: Request, name: str) -> Response:
        if name not in files:
            raise HTTPException(404)
        media_type, content, tag = files[name]
        headers = {"Cache-Control": "no-cache", "ETag": tag, "Content-Security-Policy": POLICY}
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers, media_type=media_type)

    @router.get("/")
    async def index(request: Request) -> Response:
        return answer(request, INDEX)

    @router.get("/page/{name}")
    async def asset(request: Request, name: str) -> Response:
        return answer(request, name)

    return router


def _files() -> dict[str, tuple[str, bytes, str]]:
    """Media type, content and entity tag of each by its name. All are read at once: no path comes from a request."""
    found = {}
    for file in resources.files("fdcn.serve.page").iterdir():
        kind = TYPES.get(file.name[file.name.rfind(".") :])
        if kind is not None:
            content = file.read_bytes()
            found[file.name] = kind, content, f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    return found
