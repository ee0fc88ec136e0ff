"""Assets build themselves: from sources we wrote, under names that change with what they hold, into the wheel."""

import gzip
import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from app import assets
from app.assets import FOLDER, AssetsNotBuiltError, asset, static_files

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "frontend"
UV = str(Path(sys.executable).with_name("uv"))
MANIFEST: dict[str, str] = json.loads((FOLDER / "manifest.json").read_text())


@pytest.fixture(scope="module")
def http() -> Iterator[TestClient[Any]]:
    with TestClient(Litestar([static_files()], openapi_config=None)) as client:
        yield client


def locked(*, served: bool) -> dict[str, str]:
    """Return the version of each package of the lock, those that are served or those that build."""
    packages = json.loads((SOURCES / "package-lock.json").read_text())["packages"]
    return {
        path.removeprefix("node_modules/"): facts["version"]
        for path, facts in packages.items()
        if path and facts.get("dev", False) is not served
    }


def in_the_tree() -> list[Path]:
    """Return what git holds, and what it would take."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("a source archive has no git")
    told = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return [ROOT / name for name in told.stdout.split("\0") if (ROOT / name).is_file()]


def wheel_of(tree: Path, out: Path) -> list[str]:
    """Build the wheel of a tree, from what the machine keeps if it can, and list what is inside."""
    command = [UV, "build", "--wheel", "--quiet", "--out-dir", str(out)]
    command += ["--build-constraints", str(tree / "requirements" / "build.txt"), str(tree)]
    if subprocess.run([*command, "--offline"], check=False, capture_output=True).returncode:
        subprocess.run(command, check=True)
    (wheel,) = out.glob("*.whl")
    return zipfile.ZipFile(wheel).namelist()


def test_every_name_of_the_manifest_is_a_file_named_by_what_it_holds():
    assert set(MANIFEST) >= {"pass.css", "site.css", "site.js"}
    for source, built in MANIFEST.items():
        stem, _, suffix = source.partition(".")
        assert re.fullmatch(rf"{stem}-[0-9A-Z]{{8}}\.{suffix}", built)
        plain = (FOLDER / built).read_bytes()
        assert gzip.decompress((FOLDER / f"{built}.gz").read_bytes()) == plain


def test_a_tree_that_was_never_built_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(assets, "FOLDER", tmp_path)
    with pytest.raises(AssetsNotBuiltError, match="make setup"):
        asset("site.css")
    with pytest.raises(AssetsNotBuiltError, match="make setup"):
        static_files()


def test_a_browser_keeps_what_is_named_by_its_content_for_ever(http):
    for name, built in MANIFEST.items():
        answer = http.get(asset(name))
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.content == (FOLDER / built).read_bytes()
    assert http.get(asset("site.css")).headers["content-type"] == "text/css; charset=utf-8"
    assert http.get(asset("site.js")).headers["content-type"].startswith("text/javascript")


def test_assets_travel_compressed_to_whoever_takes_it(http):
    small = http.get(asset("site.css"), headers={"Accept-Encoding": "br, gzip"})
    assert small.headers["content-encoding"] == "gzip"
    assert int(small.headers["content-length"]) < 20_000

    plain = http.get(asset("site.css"), headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.content == small.content
    assert plain.headers["vary"] == small.headers["vary"] == "Accept-Encoding"


def test_asking_for_the_head_sends_no_body(http):
    answer = http.head(asset("site.css"))
    assert answer.status_code == 200
    assert answer.content == b""
    assert answer.headers["content-type"].startswith("text/css")


def test_the_licences_are_served_and_asked_again(http):
    answer = http.get("/static/THIRD-PARTY-LICENSES.txt")
    assert answer.text == (FOLDER / "THIRD-PARTY-LICENSES.txt").read_text()
    assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "path",
    [
        "manifest.json",
        ".stamp",
        "",
        "site.css",
        f"{MANIFEST['site.css']}.gz",
        "../web.py",
        "%2e%2e/web.py",
        "..%2fweb.py",
    ],
)
def test_nothing_else_of_the_disk_is_served(http, path):
    assert http.get(f"/static/{path}").status_code == 404


def test_every_package_that_is_served_has_its_licence_listed():
    served, building = locked(served=True), locked(served=False)
    assert {"@picocss/pico", "htmx.org"} <= set(served)
    licences = (FOLDER / "THIRD-PARTY-LICENSES.txt").read_text()
    for name, version in served.items():
        assert f"\n{name} {version}, " in licences
    for name in building:
        assert name not in licences
    assert licences.count("Permission ") == len(served)


def test_the_lock_names_no_host():
    lock = (SOURCES / "package-lock.json").read_text()
    assert "resolved" not in lock
    assert "://" not in lock


def test_no_sheet_and_no_script_asks_anything_of_another_host():
    for built in MANIFEST.values():
        text = (FOLDER / built).read_text()
        assert re.search(r"@import\s+(url\()?[\"']?(https?:)?//", text) is None
        inside = re.sub(r"""url\((["'])data:.*?\1\)""", "", text)
        assert "url(" not in inside
        assert re.search(r"https?://\w", inside) is None


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, as WCAG 2 reckons it."""

    def light(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
            for part in parts
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    darker, lighter = sorted([light(one), light(other)])
    return (lighter + 0.05) / (darker + 0.05)


def test_black_on_white_is_the_contrast_everybody_knows():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert round(contrast("#cfd5e2", "#ffffff"), 2) == 1.47


def test_words_and_edges_stand_out_in_light_and_in_dark():
    sheet = (SOURCES / "src" / "site.css").read_text()
    blocks = re.findall(r"\{([^{}]*--paper:[^{}]*)\}", sheet)
    light, dark, dark_by_choice = (
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block)) for block in blocks
    )
    assert dark == dark_by_choice
    assert set(light) == set(dark)
    cues = {"yes", "kept", "wait", "no"}
    parts = {"available", "stock", "circulating", "due", "paid", "blocked", "lapsed"}
    for colours in (light, dark):
        papers = {"paper", "wash"} | {f"{cue}-wash" for cue in cues}
        words = {(word, on) for word in ("ink", "soft", "link") for on in papers}
        words |= {(cue, on) for cue in cues for on in ("paper", "wash", f"{cue}-wash")}
        words |= {("link-strong", "paper")}
        words |= {("on-button", on) for on in ("button", "button-strong", "button-quiet")}
        edges = {("edge", "paper"), ("edge", "wash"), ("button", "paper")}
        edges |= {(part, "paper") for part in parts | {"recoverable"}}
        for pairs, least in ((words, 4.5), (edges, 3)):
            weak = {
                pair: round(contrast(colours[pair[0]], colours[pair[1]]), 2)
                for pair in pairs
                if contrast(colours[pair[0]], colours[pair[1]]) < least
            }
            assert not weak


def test_the_tree_holds_nothing_that_others_wrote():
    tree = in_the_tree()
    assert SOURCES / "package-lock.json" in tree
    for path in tree:
        name = path.relative_to(ROOT)
        assert "node_modules" not in name.parts
        assert not name.is_relative_to("app/static")
        assert ".min." not in name.name
        if path.suffix in {".css", ".js", ".mjs", ".ts"}:
            # A minified file is one long line.
            assert max(map(len, path.read_text().splitlines())) < 400, name


def test_the_wheel_carries_assets_and_migrations_and_no_source_of_theirs(tmp_path):
    inside = wheel_of(ROOT, tmp_path)
    for built in ("manifest.json", "THIRD-PARTY-LICENSES.txt", *MANIFEST.values()):
        assert f"app/static/{built}" in inside
    assert "app/migrations/env.py" in inside
    assert not [name for name in inside if name.startswith(("frontend/", "alembic/"))]
    assert not [name for name in inside if "node_modules" in name]


@pytest.mark.long
def test_a_fresh_clone_builds_the_same_assets(tmp_path):
    clone = tmp_path / "clone"
    for path in in_the_tree():
        copy = clone / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    assert not (clone / "app" / "static").exists()

    inside = wheel_of(clone, tmp_path / "wheel")
    assert {f"app/static/{built}" for built in MANIFEST.values()} <= set(inside)
    assert (clone / "app" / "static" / ".stamp").is_file()
