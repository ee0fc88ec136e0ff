"""The styles and scripts of the pages: named by their content, so that a browser never asks twice.

They are built from frontend/ when the package is installed or packed, and a wheel carries
them.  What is served is what the folder held when the application was made.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from litestar import HttpMethod, Request, Response, route
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from app.people.roles import Door

FOLDER = Path(__file__).parent / "static"
MANIFEST = "manifest.json"
LICENCES = "THIRD-PARTY-LICENSES.txt"

# Written here rather than guessed: a machine's own list may call a script a plain text.
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
}
FOREVER = "public, max-age=31536000, immutable"


class AssetsNotBuiltError(RuntimeError):
    """The package runs from a source tree where nobody built the pages' assets."""


@dataclass(frozen=True)
class _Served:
    plain: bytes
    gzip: bytes | None
    headers: dict[str, str]


@cache
def _manifest(folder: Path) -> dict[str, str]:
    try:
        written = (folder / MANIFEST).read_bytes()
    except FileNotFoundError:
        told = f"{folder / MANIFEST} is not there: `make setup` builds the pages' assets"
        raise AssetsNotBuiltError(told) from None
    return msgspec.json.decode(written, type=dict[str, str])


def asset(name: str) -> str:
    """Return the address of an asset from the name of its source, as in `asset("site.css")`."""
    return f"/static/{_manifest(FOLDER)[name]}"


def static_files() -> HTTPRouteHandler:
    """Return the handler of /static: the built files and nothing else of the disk, compressed for who takes it.

    They are read once, here; an asset whose type is not in the table above stops the start.
    """
    files = _files(FOLDER)

    @route(
        "/static/{name:str}",
        http_method=[HttpMethod.GET, HttpMethod.HEAD],
        include_in_schema=False,
        sync_to_thread=False,
        opt={"door": Door.OPEN},
    )
    def static(name: FromPath[str], request: Request[Any, Any, Any]) -> Response[bytes]:
        try:
            file = files[name]
        except KeyError:
            raise NotFoundException from None
        if file.gzip and "gzip" in request.headers.get("accept-encoding", ""):
            zipped = file.headers | {"Content-Encoding": "gzip"}
            return Response(file.gzip, headers=zipped)
        return Response(file.plain, headers=file.headers)

    return static


def _files(folder: Path) -> dict[str, _Served]:
    kept = dict.fromkeys(_manifest(folder).values(), FOREVER) | {LICENCES: "no-cache"}
    files = {}
    for name, cache_control in kept.items():
        path = folder / name
        zipped = folder / f"{name}.gz"
        headers = {
            "Content-Type": TYPES[path.suffix],
            "Cache-Control": cache_control,
            "Vary": "Accept-Encoding",
            "X-Content-Type-Options": "nosniff",
        }
        compressed = zipped.read_bytes() if zipped.exists() else None
        files[name] = _Served(path.read_bytes(), compressed, headers)
    return files
