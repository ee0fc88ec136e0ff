"""Carnets are ordered from a page or a command, made in the background, piece by piece; nothing is missing, none is twice."""

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from app.database import Database, FilesPlace
from app.people.roles import Role
from app.works.doing import Worker, do_all
from app.works.kinds import KINDS
from app.works.order_making import ask_making
from funding.operations import StartProgramme, start_programme
from funding.queries import calendar_in_force
from funding.tranches import Calendar
from issuance import tokens
from issuance.keys import NewKeys, RevokeKey, new_keys, revoke_key
from issuance.making import (
    make_piece,
    pieces,
    pieces_left,
    sign_voucher,
    signed_ahead,
    write_piece,
)
from issuance.models import carnet, voucher, voucher_order
from issuance.orders import PlaceOrder, order_row, place_order
from issuance.queries import order_lines
from issuance.serials import Serial
from issuance.signing import PIECE
from ledger import canonical
from ledger.identifiers import new_id
from ledger.models import entry
from redemption.lapsing import Lapse, lapse
from tests.app.running import environment
from tests.app.visiting import Browser, House, engine_house, house, plain
from tests.builders import SECRET, a_world, done
from tests.conftest import moment
from tests.postgres import Server

__all__ = ["engine_house", "house"]

BIN = Path(sys.executable).parent
NOW = moment("2020-01-07")


def ask(browser: Browser, **typed: Any) -> Any:
    """Send the form of an order as its page does."""
    fields = {"csrf": browser.csrf, "id": str(new_id()), "tranche": "T1", "carnets": "3"}
    return browser.send("/commandes/nouvelle", fields | typed)


def work(house: House) -> None:
    do_all(house.http.app.state.serving.instance, KINDS)


def newest(house: House) -> Any:
    with house.database.begin("23", read_only=True) as session:
        return order_lines(session)[0]


@pytest.fixture
def manager(house: House) -> Browser:
    return house.entered(house.person(Role.MANAGER))


def test_an_order_is_placed_and_its_making_followed(house, manager):
    form = manager.get("/commandes/nouvelle").text
    assert "T1" in form
    answer = ask(manager, carnets="205", specimen="yes")
    assert answer.status_code == 303
    there = answer.headers["location"].removeprefix("/23")
    line = newest(house)
    assert (line.carnets, line.made, line.commitment_number) == (205, 0, None)

    waiting = plain(manager.get(there).text)
    assert "En attente : 205 carnets à faire" in waiting
    assert "en cours de fabrication" in plain(manager.get("/commandes").text)
    instance = house.http.app.state.serving.instance
    worker = Worker(instance, KINDS)
    while newest(house).made == 0:  # others may have asked for something before
        assert worker.step("23")
    worker.let_go()
    assert f"Carnets faits : {PIECE} sur 205" in plain(manager.get(there).text)
    work(house)
    assert "Carnets fabriqués : 205, soit 1025 pass" in plain(manager.get(there).text)
    assert newest(house).made == 205


def test_an_order_is_good_once_its_commitment_number_is_recorded(house, manager):
    ask(manager)
    work(house)
    line = newest(house)
    page = manager.get(f"/commandes/{line.number}").text
    assert "il manque le numéro d'engagement" in plain(page)
    fields = {"csrf": manager.csrf, "id": str(new_id())}
    path = f"/commandes/{line.number}/activation"
    empty = manager.send(path, fields | {"commitment": " "})
    assert empty.status_code == 422
    assert "Tapez le numéro d'engagement" in plain(empty.text)
    good = manager.send(path, fields | {"commitment": "ENG-2020-7"})
    assert good.status_code == 303
    page = plain(manager.get(f"/commandes/{line.number}?fait=order_active").text)
    assert "ENG-2020-7" in page
    assert "Ses pass sont valables" in page
    other = fields | {"id": str(new_id()), "commitment": "ENG-2020-8"}
    assert manager.send(path, other).status_code == 422
    assert newest(house).commitment_number == "ENG-2020-7"


def test_the_form_sent_twice_is_one_order(house, manager):
    before = newest(house).number
    same = {"id": str(new_id())}
    assert (
        ask(manager, **same).headers["location"] == ask(manager, **same).headers["location"]
    )
    work(house)
    assert newest(house).number == before + 1
    assert ask(manager, **same).status_code == 303
    work(house)
    assert (newest(house).number, newest(house).made) == (before + 1, 3)


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ({"carnets": ""}, "Tapez un nombre de carnets"),
        ({"carnets": "0"}, "Tapez un nombre de carnets"),
        ({"carnets": "1000001"}, "Tapez un nombre de carnets"),
        ({"carnets": "douze"}, "Tapez un nombre de carnets"),
        ({"tranche": ""}, "Choisissez"),
        ({"tranche": "T9"}, "Choisissez"),
        ({"carnets": "900000"}, "enveloppe"),
    ],
)
def test_what_cannot_be_ordered_is_told_and_nothing_is_set_aside(
    house, manager, typed, told
):
    before = newest(house).number
    answer = ask(manager, **typed)
    assert answer.status_code == 422
    assert told in plain(answer.text)
    assert f'value="{typed.get("carnets", "3")}"' in answer.text
    work(house)
    assert newest(house).number == before


def test_a_making_that_stopped_is_taken_up_from_the_page(house, manager):
    with house.database.begin("23") as session:
        asked = PlaceOrder(new_id(), "T1", 2)
        signer = house.world.signer
        placed = done(place_order(session, asked, signer=signer, by="test", now=house.now))
    path = f"/commandes/{placed.facts['order']}"
    assert "La fabrication n'est pas finie" in plain(manager.get(path).text)
    fields = {"csrf": manager.csrf, "id": str(new_id())}
    there = manager.send(f"{path}/fabrication", fields).headers["location"]
    assert there.startswith("/23/travaux/")
    again = manager.send(f"{path}/fabrication", fields | {"id": str(new_id())})
    assert again.headers["location"] == there
    work(house)
    assert newest(house).made == 2
    once_more = manager.send(f"{path}/fabrication", fields | {"id": str(new_id())})
    assert once_more.headers["location"] == f"/23{path}"


def test_an_order_whose_stock_has_lapsed_is_not_taken_up(house, manager):
    with house.database.begin("23") as session:
        asked = PlaceOrder(new_id(), "T1", 2)
        signer = house.world.signer
        placed = done(place_order(session, asked, signer=signer, by="test", now=house.now))
        number = placed.facts["order"]
        late = moment(calendar_in_force(session, 1).present_by + timedelta(days=1))
        done(lapse(session, Lapse(new_id(), number, "stock"), by="test", now=late))
    page = plain(manager.get(f"/commandes/{number}").text)
    assert "Le stock de cette commande est périmé" in page
    assert "Reprendre la fabrication" not in page
    assert "stock périmé" in plain(manager.get("/commandes").text)


def test_specimens_are_ordered_and_set_nothing_aside(house, manager):
    ask(manager, specimen="yes")
    work(house)
    line = newest(house)
    assert (line.specimen, line.value_cents, line.made) == (True, 0, 3)
    page = plain(manager.get(f"/commandes/{line.number}").text)
    assert "ils ne valent rien et ne peuvent jamais être utilisés" in page
    assert "/activation" not in page


def test_an_order_whose_key_was_revoked_stops_and_says_so(house, manager):
    """Last of those that order here: no key is left to sign with, until new ones are made."""
    with house.database.begin("23") as session:
        asked = PlaceOrder(new_id(), "T1", 2)
        signer = house.world.signer
        placed = done(place_order(session, asked, signer=signer, by="test", now=house.now))
        revoked = RevokeKey(new_id(), signer.voucher_key_id, "compromised")
        done(revoke_key(session, revoked, by="test", now=house.now))
        [line] = order_lines(session, placed.facts["order"])
        order = order_row(session, line.number)
        ask_making(session, new_id(), order, line.programme, by="test", now=house.now)
    page = plain(manager.get(f"/commandes/{line.number}").text)
    assert "En cours de fabrication" in page
    work(house)
    page = plain(manager.get(f"/commandes/{line.number}").text)
    assert "La clé qui devait signer cette commande est révoquée" in page
    assert "Reprendre la fabrication" not in page
    with house.database.begin("23") as session:
        new_keys(session, NewKeys(new_id()), secret=SECRET, by="test", now=house.now)


def test_each_reads_what_is_theirs_to_read(house, manager):
    number = newest(house).number
    accounts = house.entered(house.of(Role.ACCOUNTANT))
    assert f"/23/commandes/{number}" in accounts.get("/commandes").text
    assert "/commandes/nouvelle" not in accounts.get("/commandes").text
    assert manager.get("/commandes/987654").status_code == 404
    with house.database.begin("23") as session:
        other = StartProgramme(new_id(), f"autre-{new_id().hex[-6:]}", "Autre programme")
        done(start_programme(session, other, by="test", now=house.now))
    abroad = house.entered(house.person(Role.MANAGER, programme=other.code))
    assert abroad.get(f"/commandes/{number}").status_code == 404
    both = house.person(Role.ACCOUNTANT, programme="tela")
    fields = {"id": str(new_id())}
    reader = house.entered(both)
    fields["csrf"] = reader.csrf
    assert reader.send(f"/commandes/{number}/fabrication", fields).status_code == 403
    assert manager.get(f"/commandes/{10**30}").status_code == 400


@pytest.mark.parametrize("processes", [0, 2])
def test_pieces_signed_elsewhere_are_those_signed_here(database, processes):
    with database.begin("23") as session:
        world = a_world(session, envelope_cents=2_100 * 5_000, now=NOW)
        asked = PlaceOrder(new_id(), "T1", 2_050)
        placed = done(place_order(session, asked, signer=world.signer, by="test", now=NOW))
        order = order_row(session, placed.facts["order"])
        done(make_piece(session, order, 3, signer=world.signer, by="test", now=NOW))
        left = pieces_left(session, order)
    assert left == [0, 1, 2, 4, 5, 6, 7, 8, 9, 10]
    for signed in signed_ahead(order, left, world.signer, processes=processes):
        with database.begin("23") as session:
            done(write_piece(session, order, signed, by="test", now=NOW))
    with database.begin("23", read_only=True) as session:
        assert pieces_left(session, order) == []
        assert session.scalar(select(func.count()).select_from(carnet)) == 2_050
        assert session.scalar(select(func.count()).select_from(voucher)) == 10_250
        numbers = [facts["first_carnet"] for facts in _made(session)]
        assert sorted(numbers) == [1 + PIECE * n for n in range(pieces(order))]
        serial, token_digest = session.execute(
            select(voucher.c.serial, voucher.c.token_digest).where(
                voucher.c.carnet == 2_001
            )
        ).first()
    token = sign_voucher(order, Serial.parse(serial), world.signer)
    assert tokens.digest(token) == token_digest


def _made(session):
    bodies = session.scalars(select(entry.c.body).where(entry.c.kind == "vouchers_made"))
    return [canonical.decode(bytes(body))["facts"] for body in bodies]


def test_a_command_killed_in_the_middle_is_taken_up_again(database, request, tmp_path):
    """Killed outright while it signs ahead and writes: nobody is left behind, nothing is missing."""
    env = environment(**_where(database, request))
    with database.begin("23") as session:
        # Ordered today, by a program with a clock of its own.
        year = datetime.now(UTC).date() + timedelta(days=365)
        a_world(
            session, envelope_cents=4_000 * 5_000, now=NOW, calendar=Calendar(*[year] * 6)
        )
    command = [str(BIN / "passnum"), "order", "place", "T1", "--carnets", "4000"]
    with (tmp_path / "said").open("wb") as said:
        first = subprocess.Popen(
            [*command], env=env, stdout=said, stderr=said, start_new_session=True
        )
        deadline = time.monotonic() + 60
        while _count(database) < 2 * PIECE:
            assert first.poll() is None, (tmp_path / "said").read_text(encoding="utf-8")
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
    made = _count(database)
    assert made < 4_000
    assert made % PIECE == 0
    while _group_lives(first.pid):
        assert time.monotonic() < deadline, "a process that signs outlived its parent"
        time.sleep(0.05)
    again = subprocess.run(
        [str(BIN / "passnum"), "order", "make", "1"],
        env=env, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    assert "Carnets 1 à 4000 fabriqués (20000 pass)." in again.stdout
    assert _count(database) == 4_000
    with database.begin("23", read_only=True) as session:
        order = order_row(session, 1)
        assert session.scalar(select(func.count()).select_from(voucher)) == 20_000
        assert session.scalar(select(voucher_order.c.carnets)) == 4_000
        assert len(_made(session)) == pieces(order)
        assert sum(facts["count"] for facts in _made(session)) == 20_000


def _where(database: Database, request: pytest.FixtureRequest) -> dict[str, str]:
    """Tell a program where the database of this test is, and the secret of its keys."""
    secret = {"PASSNUM_KEY_PASSPHRASE": SECRET.decode(), "PASSNUM_DEPARTEMENT": "23"}
    if isinstance(database.place, FilesPlace):
        return secret | {"PASSNUM_DATA_DIR": str(database.place.folder)}
    server: Server = request.getfixturevalue("server")
    name = database.place.engine("app").url.database or ""
    return secret | {
        "PASSNUM_DATABASE_URL": server.url(name, "passnum_app"),
        "PASSNUM_SEQUENCER_URL": server.url(name, "passnum_sequencer"),
    }


def _count(database) -> int:
    with database.begin("23", read_only=True) as session:
        return session.scalar(select(func.count()).select_from(carnet)) or 0


def _group_lives(leader: int) -> bool:
    """Tell whether a process of a group still runs; one that ended and was not fetched does not."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _parent, group, *_rest = stat.read_text().rpartition(") ")[2].split()
        except OSError:  # it has just ended
            continue
        if int(group) == leader and state != "Z":
            return True
    return False
