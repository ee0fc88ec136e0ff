"""Every example command of the README runs as it stands."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_commands_of_the_readme_run(tmp_path):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    [script] = re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/passnum").symlink_to(Path(sys.executable).parent / "passnum")
    (tmp_path / "app/demo").mkdir(parents=True)
    shutil.copy(ROOT / "app/demo/lieux.csv", tmp_path / "app/demo/lieux.csv")
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PASSNUM_")}

    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path, env=clean | {"LANG": "C.UTF-8"}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert ran.returncode == 0, ran.stderr
    assert "Vérifié" in ran.stdout
    assert ran.stdout.count("conforme") == 23
    assert len(script.splitlines()) > 20


def test_what_the_readme_points_to_is_there():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / target).exists(), target
