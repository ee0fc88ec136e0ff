"""`passnum print`, on each engine: what it says, and what it leaves."""

import json
import os
import signal
import subprocess
import time

import pytest

from app.database import LOGINS, FilesPlace
from tests.app.printing.press import A_LOGO, a_press, pages, read, text
from tests.app.printing.test_paper_says_who_pays import WITHOUT, a_template
from tests.app.running import PASSNUM, environment, typed
from tests.builders import SECRET


@pytest.fixture
def press(database, monkeypatch, request):
    """The environment of a command over the database of a test, and what is in it."""
    for name in [n for n in os.environ if n.startswith("PASSNUM_")]:
        monkeypatch.delenv(name)
    told = {
        "PASSNUM_KEY_PASSPHRASE": SECRET.decode(),
        "PASSNUM_DEPARTEMENT": "23",
        "PASSNUM_PHONE": "0544302323",
    }
    if isinstance(database.place, FilesPlace):
        told["PASSNUM_DATA_DIR"] = str(database.place.folder)
    else:
        for role, name in LOGINS.items():
            url = database.place.engine(role).url
            told[name] = url.render_as_string(hide_password=False)
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    return told, a_press(database, getattr(request, "param", 3))


def test_a_batch_is_printed_told_and_recorded(press, tmp_path):
    _told, world = press
    (tmp_path / "logos").mkdir()
    (tmp_path / "logos" / "Département de la Creuse.svg").write_bytes(A_LOGO)

    look = ["--logos", tmp_path / "logos", "--near", "Guéret"]
    assert (
        typed("print", 1, "--out", tmp_path / "lot", *look).refusal == "proof_not_approved"
    )
    proof = typed("order", "proof", 1, "--out", tmp_path / "proofs", *look)
    assert proof.code == 0, proof.err
    file = tmp_path / "proofs" / "epreuve-commande-1.pdf"
    sheets = pages(file.read_bytes(), 150)
    assert "BON À TIRER — SPÉCIMEN" in text(file.read_bytes())
    assert set(read(sheets)) == {f"HTTPS://{world.host}/V/{'1' * 191}"}
    # Without the logos, it is not the proof that was looked at.
    assert typed("order", "approve", 1, "--proof", file).refusal == "proof_differs"
    assert typed("order", "approve", 1, "--proof", file, *look).code == 0

    said = typed("print", 1, "--out", tmp_path / "lot", *look)

    assert said.code == 0, said.err
    assert "Carnets 1 à 3 écrits dans" in said.out
    assert "lot 1 de la commande 1" in said.out
    [sheets] = (tmp_path / "lot").glob("*.pdf")
    assert len(read(pages(sheets.read_bytes(), 150))) == 15
    [batch] = typed("order", "prints", 1, "--format", "json").json
    assert batch["manifest_sha256"] in said.out
    assert (batch["kind"], batch["by"], batch["key_id"]) == (
        "pdf",
        "cli",
        world.signer.voucher_key_id,
    )


def test_carnets_that_were_voided_are_not_printed(press, tmp_path):
    assert typed("void-misprints", "--first", 2, "--last", 2, "--yes").code == 0
    asked = ["print", 1, "--kind", "phone", "--out", tmp_path / "lot"]

    refused = typed(*asked)
    assert refused.refusal == "carnets_ended"
    assert " 2 " in refused.err
    assert typed(*asked, "--first", 3, "--count", 1).code == 0


def test_carnets_for_a_desk_tell_the_places_of_its_commune(press, tmp_path):
    of = ["--prescriber", "CCAS", "--name", "Accueil", "--programme", "tela", "--commune"]
    for code, commune in (("MAIRIE", "23096"), ("AILLEURS", "23001")):
        assert typed("desk", "open", code, *of, commune).code == 0
    asked = ["print", 1, "--kind", "phone", "--out", tmp_path / "lot", "--desk"]

    # Nothing is known to be there: the desk's own commune is what is looked for.
    assert typed(*asked, "AILLEURS").refusal == "commune_unknown"
    said = typed(*asked, "MAIRIE")

    assert said.code == 0, said.err
    assert "Guéret" in next((tmp_path / "lot").rglob("*.html")).read_text("utf-8")


def test_a_print_shop_gets_a_void_carnet_and_its_own_proof_is_kept_by_its_hash(
    press, tmp_path
):
    told, world = press
    del told
    with_shop = ["--kind", "shop"]
    made = typed("order", "proof", 1, *with_shop, "--out", tmp_path / "shop")
    assert made.code == 0, made.err
    rows = (tmp_path / "shop" / "pass.csv").read_text("utf-8-sig").splitlines()
    assert len(rows) == 6
    assert all("SPÉCIMEN, sans valeur" in row for row in rows[1:])
    every = "".join(p.read_text("utf-8") for p in (tmp_path / "shop").rglob("*.csv"))
    assert not any(p.url in every or p.code in every for p in world.passes.values())
    (tmp_path / "no.pdf").write_bytes(b"a photograph")
    (tmp_path / "yes.pdf").write_bytes(b"%PDF-1.7 what the shop sent back")

    refused = typed("order", "approve", 1, *with_shop, "--proof", tmp_path / "no.pdf")
    assert refused.refusal == "proof_unreadable"
    good = typed("order", "approve", 1, *with_shop, "--proof", tmp_path / "yes.pdf")
    assert good.code == 0, good.err
    assert typed("order", "proof", 2, "--out", tmp_path / "x").refusal == "proof_not_needed"
    assert typed("order", "proof", 9, "--out", tmp_path / "x").refusal == "not_found"


REFUSALS = {
    "not_found": [9],
    "carnets_not_of_order": [1, "--first", 3, "--count", 2],
    "print_folder_taken": [1, "--out", "taken"],
    "print_not_written": [1, "--out", "a file/lot"],
    "logo_unreadable": [1, "--logos", "bad"],
    "too_many_logos": [1, "--logos", "many"],
    "commune_unknown": [1, "--near", "Ailleurs"],
    "desk_nowhere": [1, "--desk", "CAF"],
    "eu_block_missing": [1, "--template", "ours"],
    "template_wrong": [1, "--template", "bad"],
}


def test_each_no_is_a_sentence_and_leaves_no_entry(press, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    a_template(tmp_path / "ours", WITHOUT)
    for folder in ("taken", "bad", "many"):
        (tmp_path / folder).mkdir()
    (tmp_path / "taken" / "photo.jpg").write_bytes(b"")
    (tmp_path / "a file").write_bytes(b"")
    (tmp_path / "bad" / "Creuse.svg").write_bytes(b"<html>")
    for number in range(4):
        (tmp_path / "many" / f"{number}.svg").write_bytes(A_LOGO)

    for code, words in REFUSALS.items():
        out = [] if "--out" in words else ["--out", "lot"]
        assert typed("print", *words, *out).refusal == code

    assert not (tmp_path / "lot").exists()
    assert typed("order", "prints", 1, "--format", "json").json == []


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("press", [60], indirect=True, ids=["sixty carnets"])
@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_a_command_that_is_stopped_is_run_again(press, tmp_path, sign):
    """Stop the command once it began to write; whatever it left, the next one ends the batch."""
    told, _world = press
    lot = tmp_path / "lot"
    words = [PASSNUM, "print", "1", "--out", str(lot)]
    with subprocess.Popen(
        words, env=environment(**told), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as first:
        while first.poll() is None and not (lot / ".batch.jsonl").exists():
            time.sleep(0.01)
        first.send_signal(sign)
        _out, error = first.communicate(timeout=60)
    assert b"Traceback" not in error
    assert first.returncode != 0, "it stopped, and did not go on to the end"
    assert not (lot / "manifest.json").exists()

    again = typed("print", 1, "--out", lot)

    assert again.code == 0, again.err
    listed = json.loads((lot / "manifest.json").read_bytes())["files"]
    there = {str(p.relative_to(lot)) for p in lot.rglob("*") if p.is_file()}
    assert {each["name"] for each in listed} | {"manifest.json"} == there
    assert len(typed("order", "prints", 1, "--format", "json").json) == 1
