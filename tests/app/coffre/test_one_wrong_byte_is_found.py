"""One byte that is not as it was, anywhere in a coffre, is found, and named in a sentence."""

import json
import random

import pytest

from app.coffre.tables import CHECKPOINTS, TOLD
from tests.app.coffre.world import contents, packed, sealed, verified

SMALL = (
    "LISEZMOI.txt", "checkpoint.txt", "figures/balances.json", "figures/claims.json", "figures/splits.json",
    "keys.txt", "manifest.json", "manifest.sha256", "policy.txt", "tile/0/000.p/124", "verify.py",
    *(f"reference/{name}.jsonl" for name in (
        "accreditations", "calls", "conventions", "keys", "orders", "prescribers", "programmes", "serials", "sites", "tranches",
    )),
    *(f"tables/{name}.jsonl" for name in (*TOLD, CHECKPOINTS)),
)  # fmt: skip


def flipped(data: bytes, place: int, bit: int = 1) -> bytes:
    changed = bytearray(data)
    changed[place] ^= bit
    return bytes(changed)


def test_these_are_all_the_files(coffres):
    assert {*SMALL, "journal.jsonl"} == coffres.files().keys()


@pytest.mark.parametrize("name", SMALL)
def test_a_byte_of_a_file(coffres, tmp_path, name):
    files = coffres.files()
    size = len(files[name])
    for place in {0, size // 2, size - 1} if size else ():
        told = verified(
            packed(tmp_path / f"{place}.zip", files | {name: flipped(files[name], place)})
        )
        assert told.code in {1, 2}
        assert name in told.out + told.err, told


@pytest.mark.parametrize("name", [*SMALL, "journal.jsonl"])
def test_a_missing_file(coffres, tmp_path, name):
    files = coffres.files()
    del files[name]
    told = verified(packed(tmp_path / "coffre.zip", files))
    assert told.code in {1, 2}
    assert name in told.out + told.err


def test_a_byte_of_the_journal_is_told_by_its_entry(coffres, tmp_path):
    files = coffres.files()
    lines = coffres.lines()
    for index in (0, 20, 40, len(lines) - 1):
        for place in (5, len(lines[index]) // 2):
            changed = [*lines]
            changed[index] = flipped(lines[index], place)
            journal = b"".join(line + b"\n" for line in changed)
            for agreed in (
                files | {"journal.jsonl": journal},
                sealed(files | {"journal.jsonl": journal}),
            ):
                told = verified(packed(tmp_path / "coffre.zip", agreed))
                assert told.code == 1
                assert (
                    f"L'écriture n° {index} (ligne {index + 1} de journal.jsonl" in told.out
                ), told
                assert "n'est pas celle qui a été signée" in told.out


def test_the_entry_that_is_named_says_what_it_is(coffres, tmp_path):
    lines = coffres.lines()
    index = next(
        n for n, line in enumerate(lines) if json.loads(line)["kind"] == "redeemed"
    )
    entry = json.loads(lines[index])
    lines[index] = lines[index].replace(b'"cents":1000', b'"cents":9000')
    files = sealed(
        coffres.files() | {"journal.jsonl": b"".join(line + b"\n" for line in lines)}
    )
    told = verified(packed(tmp_path / "coffre.zip", files))
    assert f"redeemed, {entry['on']}, {entry['id']}" in " ".join(told.out.split())


def test_a_byte_of_a_tile_that_the_manifest_agrees_with(coffres, tmp_path):
    files = coffres.files()
    name = "tile/0/000.p/124"
    told = verified(
        packed(tmp_path / "coffre.zip", sealed(files | {name: flipped(files[name], 33)}))
    )
    assert told.code == 1
    assert "Les dalles ont été changées : L'écriture n° 1 " in told.out


@pytest.mark.parametrize("chosen", ["call", "site"])
def test_a_byte_of_a_filtered_coffre(coffres, tmp_path, chosen):
    files = contents(getattr(coffres, chosen))
    for name, data in files.items():
        changed = files | {name: flipped(data, len(data) // 2)}
        told = verified(packed(tmp_path / "coffre.zip", changed))
        assert told.code in {1, 2}, name
        if name not in {"manifest.json", "manifest.sha256", "verify.py", "LISEZMOI.txt"}:
            told = verified(packed(tmp_path / "coffre.zip", sealed(changed)))
            # Nobody but the auditor's own list can tell a key that was added from one that was there.
            assert told.code in {1, 2} or name in {"keys.txt", "policy.txt"}, name


def test_a_byte_of_the_zip_itself_never_passes_for_another_content(coffres, tmp_path):
    raw, dice = coffres.new.read_bytes(), random.Random(1)
    good = coffres.files()
    target = tmp_path / "coffre.zip"
    for _turn in range(150):
        target.write_bytes(flipped(raw, dice.randrange(len(raw)), 1 << dice.randrange(8)))
        told = verified(target)
        # What nobody reads (a date in a header) may differ; no content does.
        assert told.code in {1, 2} or contents(target) == good


def test_a_damaged_journal_is_told_by_its_entry(coffres, tmp_path):
    raw = coffres.new.read_bytes()
    place = raw.index(b"journal.jsonl") + 4_000
    (tmp_path / "coffre.zip").write_bytes(flipped(raw, place, 255))
    told = verified(tmp_path / "coffre.zip")
    assert told.code == 1
    assert "journal.jsonl" in told.out
