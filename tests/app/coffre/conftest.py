"""Two coffres of one département, made once: what it was in December, and when all was over."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.database import Database, FilesPlace
from ledger.log_keys import log_signers
from tests.app.coffre.world import close, contents, exported, live, published
from tests.builders import SECRET
from tests.conftest import moment


@dataclass(frozen=True)
class Coffres:
    """Four files: the older log, the newer, and two choices from it; and the key that signed them."""

    old: Path
    new: Path
    call: Path
    site: Path
    key: Ed25519PrivateKey

    def files(self) -> dict[str, bytes]:
        return contents(self.new)

    def lines(self) -> list[bytes]:
        return self.files()["journal.jsonl"].splitlines()


@pytest.fixture(scope="package")
def coffres(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Coffres]:
    home = tmp_path_factory.mktemp("coffres")
    for file in sqlite_template.glob("*.db"):
        shutil.copy(file, home / file.name)
    database = Database(FilesPlace(home))
    live(database)
    published(database, moment("2020-12-01"))
    old = exported(database, home / "old.zip")
    close(database)
    published(database, moment("2021-03-01"))
    with database.begin("23") as session:
        [signer] = log_signers(session, SECRET)
    yield Coffres(
        old,
        exported(database, home / "new.zip"),
        exported(database, home / "call.zip", call="AAP"),
        exported(database, home / "site.zip", site="lieu-1"),
        signer.private,
    )
    database.close()
