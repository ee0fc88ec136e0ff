"""A batch is one folder: interrupted, run again, spoiled or taken by another, it is whole in the end or left alone."""

import errno
import fcntl
import json
import os
import stat
from pathlib import Path

import pytest
from msgspec.structs import replace

from app.printing import batch, documents, templates
from app.printing import printing as press
from app.printing.batch import (
    MANIFEST,
    UNDER_WAY,
    PrintDiffers,
    PrintDiskFull,
    PrintFolderTaken,
    PrintNotWritten,
    PrintUnderWay,
)
from app.printing.printing import printing
from app.printing.publicity import blocks
from issuance.print_batches import batches
from tests.app.printing.press import LOGOS, a_press, pages, prepared, printed, read


def contents(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}


def recorded(database) -> list[tuple[int, str]]:
    with database.begin("23", read_only=True) as session:
        return [(b.number, b.manifest_sha256) for b in batches(session, 1)]


def interrupted(database, world, out: Path, documents: int = 1, **asked):
    """A batch that stops after so many documents."""
    with database.begin("23", read_only=True) as session:
        about = prepared(session, world, **asked)
    with printing(about, out) as made:
        steps = iter(made.steps)
        for _document in range(documents):
            next(steps)
    return about


@pytest.fixture
def small(monkeypatch):
    """Documents of two carnets, so that a few carnets make several."""
    monkeypatch.setattr(batch, "TOGETHER", 2)
    monkeypatch.setattr(batch, "FEW", 99)


@pytest.mark.parametrize("kind", ["pdf", "shop", "phone"])
def test_what_was_written_before_an_interruption_is_kept(database, tmp_path, small, kind):
    world = a_press(database, 5)
    interrupted(database, world, tmp_path / "lot", kind=kind)
    before = {p: p.stat().st_ino for p in (tmp_path / "lot").rglob("23-*") if p.is_file()}
    before |= {p: p.stat().st_ino for p in (tmp_path / "lot").glob("*.pdf")}

    made = printed(database, world, tmp_path / "lot", kind=kind)

    assert before
    assert {p: p.stat().st_ino for p in before} == before
    assert not (made.out / UNDER_WAY).exists()
    listed = {f["name"] for f in json.loads(made.file(MANIFEST))["files"]}
    assert listed == contents(made.out).keys() - {MANIFEST}
    assert recorded(database) == [(1, recorded(database)[0][1])]


def test_no_carnet_is_missing_and_none_is_there_twice(database, tmp_path, small):
    world = a_press(database, 5)
    interrupted(database, world, tmp_path / "lot", 2)

    made = printed(database, world, tmp_path / "lot")

    found = [
        url
        for path in sorted(made.out.glob("*.pdf"))
        for url in read(pages(path.read_bytes(), 150))
    ]
    expected = [p.url for p in world.passes.values() if p.serial.carnet <= 5]
    assert sorted(found) == sorted(expected)


def test_a_file_that_was_spoiled_meanwhile_is_made_again(database, tmp_path, small):
    world = a_press(database, 4)
    interrupted(database, world, tmp_path / "lot")
    [first] = (tmp_path / "lot").glob("*.pdf")
    whole = first.read_bytes()
    first.write_bytes(whole[:100])
    first.chmod(0o644)

    printed(database, world, tmp_path / "lot")

    assert first.read_bytes() == whole
    assert stat.S_IMODE(first.stat().st_mode) == 0o600


def test_a_note_torn_by_a_power_cut_is_no_note(database, tmp_path, small):
    world = a_press(database, 4)
    interrupted(database, world, tmp_path / "lot")
    journal = tmp_path / "lot" / UNDER_WAY
    journal.write_bytes(journal.read_bytes()[:-9])

    made = printed(database, world, tmp_path / "lot")

    assert len(json.loads(made.file(MANIFEST))["files"]) == 2


def test_a_note_torn_twice_is_still_no_note(database, tmp_path, small):
    """What comes after a torn note begins a line of its own."""
    world = a_press(database, 6)
    journal = tmp_path / "lot" / UNDER_WAY
    for documents_made in (1, 2):
        interrupted(database, world, tmp_path / "lot", documents_made)
        journal.write_bytes(journal.read_bytes()[:-9])

    made = printed(database, world, tmp_path / "lot")

    assert len(json.loads(made.file(MANIFEST))["files"]) == 3


@pytest.mark.parametrize("changed", ["publicity", "funders", "typst"])
def test_a_batch_goes_on_only_while_its_sheets_say_who_pays_today(
    database, tmp_path, small, changed
):
    world = a_press(database, 4)
    about = interrupted(database, world, tmp_path / "lot")
    before = contents(tmp_path / "lot")
    other = {"publicity": tuple(blocks()[1:2]), "funders": ("DEP",), "typst": "0"}[changed]
    if changed == "typst":
        plan = replace(about.plan, typst=other)
    else:
        plan = replace(about.plan, content=replace(about.plan.content, **{changed: other}))

    with pytest.raises(PrintFolderTaken), batch.opened(tmp_path / "lot", plan):
        pass
    assert contents(tmp_path / "lot") == before

    printed(database, world, tmp_path / "lot")
    with batch.opened(tmp_path / "lot", plan) as whole:
        assert whole.promised, "a batch that is whole says who paid when it was made"


def test_places_and_telephones_may_change_while_a_batch_is_interrupted(
    database, tmp_path, small
):
    world = a_press(database, 4)
    about = interrupted(database, world, tmp_path / "lot")
    content = replace(about.plan.content, phone=None, places=())

    with batch.opened(tmp_path / "lot", replace(about.plan, content=content)) as goes_on:
        assert goes_on.plan == about.plan


def test_the_folder_of_another_place_is_refused_though_its_key_bears_the_same_number(
    database, tmp_path
):
    world = a_press(database, 1)
    printed(database, world, tmp_path / "lot")
    with database.begin("23", read_only=True) as session:
        about = prepared(session, world)
    key = world.signer.voucher_key.public_key().public_bytes_raw().hex()
    assert about.plan.key == key

    with (
        pytest.raises(PrintFolderTaken),
        batch.opened(tmp_path / "lot", replace(about.plan, key="00" * 32)),
    ):
        pass


def test_whoever_stops_reading_what_is_said_is_not_told_that_nothing_can_be_written(
    database, tmp_path
):
    world = a_press(database, 1)
    with database.begin("23", read_only=True) as session:
        about = prepared(session, world)

    with pytest.raises(BrokenPipeError), printing(about, tmp_path / "lot"):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


def test_notes_that_outlived_the_manifest_are_taken_away_once_all_is_on_the_disk(
    database, tmp_path, monkeypatch
):
    world = a_press(database, 1)
    made = printed(database, world, tmp_path / "lot")
    (made.out / UNDER_WAY).write_bytes(b"left by a power cut")
    synced = []
    monkeypatch.setattr(os, "sync", lambda: synced.append((made.out / UNDER_WAY).exists()))

    printed(database, world, tmp_path / "lot")

    assert synced == [True]
    assert not (made.out / UNDER_WAY).exists()


@pytest.mark.parametrize("kind", ["pdf", "shop", "phone"])
def test_a_batch_that_is_whole_is_left_as_it_is_and_is_one_entry(database, tmp_path, kind):
    world = a_press(database, 2)
    made = printed(database, world, tmp_path / "lot", kind=kind, logos=LOGOS)
    before, entries = contents(made.out), recorded(database)

    again = printed(database, world, tmp_path / "lot", kind=kind, logos=LOGOS)

    assert contents(again.out) == before
    assert recorded(database) == entries
    assert (again.number, again.printing.manifest) == (made.number, entries[0][1])


def test_an_entry_that_was_not_left_is_left_when_run_again(database, tmp_path):
    world = a_press(database, 1)
    with database.begin("23", read_only=True) as session:
        about = prepared(session, world)
    with printing(about, tmp_path / "lot") as made:
        assert list(made.steps) == [1]
    assert recorded(database) == []

    printed(database, world, tmp_path / "lot")

    assert len(recorded(database)) == 1


def test_a_file_of_a_whole_batch_is_made_again_the_very_same(database, tmp_path, small):
    world = a_press(database, 4)
    made = printed(database, world, tmp_path / "lot")
    before = contents(made.out)
    gone, spoiled = sorted(made.out.glob("*.pdf"))
    gone.unlink()
    spoiled.write_bytes(b"not a carnet")

    printed(database, world, tmp_path / "lot")

    assert contents(made.out) == before


def test_what_can_only_be_made_otherwise_is_refused_and_left(
    database, tmp_path, monkeypatch
):
    world = a_press(database, 1)
    made = printed(database, world, tmp_path / "lot")
    [path] = made.out.glob("*.pdf")
    path.unlink()
    before = contents(made.out)
    other = [documents.File(path.name, b"another typst")]
    monkeypatch.setattr(batch, "render", lambda _job: other)

    with pytest.raises(PrintDiffers):
        printed(database, world, tmp_path / "lot")

    assert contents(made.out) == before


@pytest.mark.parametrize(
    "other",
    [
        {"kind": "phone"},
        {"count": 1},
        {"first": 2},
        {"logos": LOGOS},
        {"near": "Guéret"},
        {"order": 2},
    ],
)
def test_the_folder_of_another_batch_is_refused_and_left(database, tmp_path, other):
    world = a_press(database, 2)
    made = printed(database, world, tmp_path / "lot")
    before = contents(made.out)

    with pytest.raises(PrintFolderTaken):
        printed(database, world, tmp_path / "lot", **other)

    assert contents(made.out) == before


@pytest.mark.parametrize("name", ["photos.zip", MANIFEST, UNDER_WAY])
def test_a_folder_with_other_files_is_refused_and_left(database, tmp_path, name):
    world = a_press(database, 1)
    (tmp_path / "lot").mkdir(mode=0o755)
    (tmp_path / "lot" / name).write_text("something else\n")

    with pytest.raises(PrintFolderTaken):
        printed(database, world, tmp_path / "lot")

    assert contents(tmp_path / "lot") == {name: b"something else\n"}
    assert stat.S_IMODE((tmp_path / "lot").stat().st_mode) == 0o755


def test_two_at_once_are_not_mixed(database, tmp_path):
    world = a_press(database, 1)
    (tmp_path / "lot").mkdir()
    held = os.open(tmp_path / "lot", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)

    with pytest.raises(PrintUnderWay):
        printed(database, world, tmp_path / "lot")

    os.close(held)
    printed(database, world, tmp_path / "lot")


def test_a_full_disk_is_a_sentence_and_the_batch_goes_on_afterwards(
    database, tmp_path, monkeypatch, small
):
    world = a_press(database, 4)
    written = batch.private_file

    def full(path, parts):
        if path.name.endswith("000004.pdf"):
            raise OSError(errno.ENOSPC, "No space left on device")
        written(path, parts)

    monkeypatch.setattr(batch, "private_file", full)
    with pytest.raises(PrintDiskFull) as no:
        printed(database, world, tmp_path / "lot")
    assert recorded(database) == []
    assert no.value.path == str(tmp_path / "lot")
    assert list((tmp_path / "lot").glob("*.pdf")), "what was written is kept, and is told"

    monkeypatch.setattr(batch, "private_file", written)
    printed(database, world, tmp_path / "lot")
    assert len(recorded(database)) == 1


def test_a_file_that_does_not_fit_leaves_nothing_of_it(tmp_path):
    def parts():
        yield b"a beginning"
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        batch.private_file(tmp_path / "a.pdf", parts())

    assert list(tmp_path.iterdir()) == []


def test_a_place_where_nothing_can_be_written_is_told(database, tmp_path):
    world = a_press(database, 1)
    (tmp_path / "a file").write_text("")

    with pytest.raises(PrintNotWritten):
        printed(database, world, tmp_path / "a file" / "lot")


def test_other_processes_make_the_same_bytes(database, tmp_path, monkeypatch):
    monkeypatch.setattr(batch, "TOGETHER", 1)
    monkeypatch.setattr(batch, "PER_PROCESS", 2)
    world = a_press(database, 3)
    about = interrupted(database, world, tmp_path / "together", 0)
    with batch.opened(tmp_path / "alone", about.plan) as alone:
        monkeypatch.setattr(batch, "FEW", 99)
        assert list(
            batch.make(alone, about.asked.template, about.asked.logos, about.passes)
        ) == [1, 1, 1]
    monkeypatch.setattr(batch, "FEW", 0)
    with batch.opened(tmp_path / "together", about.plan) as together:
        made = batch.make(
            together, about.asked.template, about.asked.logos, about.passes, processes=1
        )
        assert list(made) == [1, 1, 1]

    assert together.kept == alone.kept


def test_the_list_of_a_whole_batch_is_made_again_the_very_same_or_left(
    database, tmp_path, monkeypatch
):
    world = a_press(database, 2)
    made = printed(database, world, tmp_path / "lot", kind="shop")
    before = contents(made.out)
    (made.out / "pass.csv").write_bytes(b"spoiled")

    with monkeypatch.context() as other:
        other.setattr(press, "_row", lambda *_: dict.fromkeys(made_columns(), "other"))
        with pytest.raises(PrintDiffers):
            printed(database, world, tmp_path / "lot", kind="shop")
    assert contents(made.out) == before | {"pass.csv": b"spoiled"}

    printed(database, world, tmp_path / "lot", kind="shop")
    assert contents(made.out) == before


def made_columns() -> tuple[str, ...]:
    return templates.own("shop").columns
