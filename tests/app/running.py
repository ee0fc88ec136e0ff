"""The real application and the real programs, over the data of a test."""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from app.cli.main import main
from app.database import Database
from app.instance import Clock, Instance
from app.settings import Settings
from tests.builders import MASTER_KEY, SECRET
from tests.conftest import moment

PASSNUM = str(Path(sys.executable).with_name("passnum"))
FEBRUARY = moment("2020-02-03", 14).at


def at_that_time() -> datetime:
    """Tell the time of the stories of 2020: a Monday afternoon in February."""
    return FEBRUARY


def an_instance(
    database: Database, folder: Path, clock: Clock = at_that_time, **settings: Any
) -> Instance:
    """Return an instance over the database of a test, with the secrets of the tests."""
    instance = Instance(Settings(folder, {}, SECRET, (MASTER_KEY,), **settings), clock)
    instance.database.close()
    instance.database = database
    return instance


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a program: ours, without what this machine may have set."""
    kept = {
        k: v for k, v in os.environ.items() if not k.startswith(("PASSNUM_", "LANG", "LC_"))
    }
    # A source tree stays clean, and a pipe shows what was printed before a kill.
    return kept | {"PYTHONUNBUFFERED": "1"} | more


def passnum(
    *arguments: object, env: Mapping[str, str] | None = None, stdin: str | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run the command to its end and return what it printed."""
    return subprocess.run(
        [PASSNUM, *map(str, arguments)],
        check=False, capture_output=True, text=True, timeout=60, input=stdin,
        env=dict(env) if env is not None else environment(),
    )  # fmt: skip


@dataclass
class Printed:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def refusal(self) -> str:
        """The code of the refusal, after its sentence, on one line of the standard error."""
        assert self.code == 1, self
        assert "Traceback" not in self.err
        told = re.fullmatch(r"(?s)(.+) \[([a-z_]+)\]\n", self.err)
        assert told, self.err
        assert told[1] != told[2], "a sentence, not the code again"
        assert "{" not in told[1]
        return told[2]


def typed(*words: object, stdin: str = "") -> Printed:
    """Run the command in this process: starting another one takes a second."""
    out, err = io.StringIO(), io.StringIO()
    before = sys.argv, sys.stdin
    sys.argv, sys.stdin = ["passnum", *map(str, words)], io.StringIO(stdin)
    code: Any = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.argv, sys.stdin = before
    return Printed(code, out.getvalue(), err.getvalue())
