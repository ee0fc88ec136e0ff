"""An auditor who kept last year's coffre sees whether this year's begins with it."""

import json

import pytest
from sqlalchemy import create_engine, text

from app.coffre import verify
from app.database import FilesPlace
from ledger import canonical
from ledger.merkle import extend, leaf_hash
from tests.app.coffre.world import (
    alone,
    close,
    contents,
    exported,
    forged,
    live,
    packed,
    published,
    sealed,
    verified,
)
from tests.conftest import moment

REWRITTEN = "L'histoire a été réécrite."


def rewrite(database, request) -> int:
    """Be the superuser: change who did a use, and rebuild the log as if it had always been so."""
    files = isinstance(database.place, FilesPlace)
    if files:
        engine = create_engine(f"sqlite:///{database.place.folder}/d23.db")
    else:
        server = request.getfixturevalue("server")
        engine = create_engine(server.url(database.place.engine("app").url.database))
    tables = ("entry", "log_leaf", "log_state", "published", "checkpoint")
    with engine.begin() as connection:
        if files:
            names = connection.scalars(
                text("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            ).all()
            for name in names:
                connection.execute(text(f"DROP TRIGGER {name}"))
        else:
            connection.execute(text("SET LOCAL search_path = d23"))
            for table in tables:
                connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER ALL"))
        idx, identifier, body = connection.execute(
            text(
                "SELECT l.idx, e.id, e.body FROM entry e JOIN log_leaf l ON l.entry_id = e.id WHERE e.kind = 'redeemed' ORDER BY l.idx LIMIT 1"
            )
        ).one()
        told = canonical.decode(bytes(body))
        changed = canonical.encode(told | {"actor": "someone-else"})
        values = {"id": identifier, "body": changed, "leaf": leaf_hash(changed)}
        connection.execute(
            text(
                "UPDATE entry SET actor = 'someone-else', body = :body, leaf_hash = :leaf WHERE id = :id"
            ),
            values,
        )
        connection.execute(
            text("UPDATE log_leaf SET leaf_hash = :leaf WHERE entry_id = :id"), values
        )
        leaves = connection.scalars(
            text("SELECT leaf_hash FROM log_leaf ORDER BY idx")
        ).all()
        frontier = b"".join(extend((), 0, [bytes(leaf) for leaf in leaves]))
        connection.execute(
            text("UPDATE log_state SET frontier = :frontier"), {"frontier": frontier}
        )
        connection.execute(text("DELETE FROM published"))
        connection.execute(text("DELETE FROM checkpoint"))
    engine.dispose()
    return int(idx)


def test_a_history_that_a_superuser_rewrote_is_caught(database, tmp_path, request):
    live(database)
    published(database, moment("2020-12-01"))
    old = exported(database, tmp_path / "old.zip")
    idx = rewrite(database, request)
    close(database)
    published(database, moment("2021-03-01"))
    new = exported(database, tmp_path / "new.zip")
    # Everything in it agrees, and the log's own key signed it: alone, it cannot be told.
    assert alone(new).code == 0
    told = verified(new, "--since", old)
    assert told.code == 1
    assert (
        f"{REWRITTEN} L'écriture n° {idx} (ligne {idx + 1} de journal.jsonl : redeemed"
        in told.out
    )


@pytest.mark.parametrize("chosen", ["call", "site"])
def test_a_choice_from_a_rewritten_history_is_caught_too(
    database, tmp_path, request, chosen
):
    live(database)
    published(database, moment("2020-12-01"))
    old = exported(database, tmp_path / "old.zip")
    rewrite(database, request)
    close(database)
    published(database, moment("2021-03-01"))
    new = exported(
        database,
        tmp_path / "new.zip",
        **{chosen: {"call": "AAP", "site": "lieu-1"}[chosen]},
    )
    told = verified(new, "--since", old)
    assert told.code == 1
    assert REWRITTEN in told.out


def test_the_same_coffre_begins_with_itself(coffres):
    assert verified(coffres.new, "--since", coffres.new).code == 0


def test_a_log_that_became_shorter_is_caught(coffres):
    told = verified(coffres.old, "--since", coffres.new)
    assert told.code == 1
    assert "Le journal a raccourci" in told.out


def test_a_log_that_became_shorter_and_was_signed_anew_is_caught(coffres, tmp_path):
    lines = coffres.lines()
    old = contents(coffres.old)["journal.jsonl"].splitlines()
    assert lines[: len(old)] == old
    lines.pop(len(old) - 3)
    new = packed(tmp_path / "new.zip", forged(coffres.files(), lines, coffres.key))
    told = verified(new, "--since", coffres.old)
    assert told.code == 1
    assert f"{REWRITTEN} L'écriture n° {len(old) - 3} " in told.out


def test_an_older_coffre_of_another_log_is_refused(coffres, tmp_path):
    files = contents(coffres.old)
    note = files["checkpoint.txt"].replace(b"pass.creuse.fr/23", b"pass.reunion.fr/974")
    other = packed(tmp_path / "other.zip", sealed(files | {"checkpoint.txt": note}))
    told = verified(coffres.new, "--since", other)
    assert told.code == 2
    assert "un autre département" in told.err


def test_an_older_coffre_that_is_damaged_is_refused(coffres, tmp_path):
    files = contents(coffres.old)
    tile = next(name for name in files if name.startswith("tile/"))
    leaves = bytearray(files[tile])
    leaves[3] ^= 1
    for changed in (files | {tile: bytes(leaves)}, sealed(files | {tile: bytes(leaves)})):
        told = verified(coffres.new, "--since", packed(tmp_path / "old.zip", changed))
        assert told.code == 2
        assert "L'ancien coffre ne peut pas servir" in told.err


def test_the_older_checkpoint_must_bear_the_signature_of_the_log(coffres, tmp_path):
    files = contents(coffres.old)
    told = json.loads(files["manifest.json"])
    assert told["size"] < len(coffres.lines())
    note = files["checkpoint.txt"].decode()
    text_, _, _ = note.rpartition("\n\n")
    unsigned = f"{text_}\n\n— nobody AAAAAAAAAAAA\n".encode()
    older = packed(tmp_path / "old.zip", sealed(files | {"checkpoint.txt": unsigned}))
    assert verified(coffres.new, "--since", older).code == 2
    assert verify.LANGUAGE == "fr"
