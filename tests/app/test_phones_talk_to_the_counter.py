"""Phones talk to the counter: queues in, verdicts out, and nothing told to whoever may not know."""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
import schemathesis
from hypothesis import given, settings
from litestar.testing import TestClient
from sqlalchemy import func, select, text

from app.assets import asset
from app.database import Database, FilesPlace
from app.devices import new_device, revoke_device
from app.guessing import Guesses
from app.web import create_app
from issuance.models import handed_out
from ledger import queries
from ledger.identifiers import new_id
from ledger.models import attempt, entry
from redemption.models import workshop as workshops
from tests.app.running import FEBRUARY, an_instance
from tests.builders import CALENDAR, SECRET, World, a_workshop, a_world, an_order, sequence
from tests.builders import given as handed
from tests.conftest import ENGINES, a_database, moment

NOW = moment("2020-02-03", 14)
ENGLISH = {"Accept-Language": "en"}


@dataclass
class Counter:
    """A server with a tranche, a workshop at the first site, and devices that may call."""

    http: TestClient[Any]
    database: Database
    world: World
    held: list[str]
    in_stock: list[str]
    workshop: str
    tokens: dict[str, str]

    @property
    def on_sqlite(self) -> bool:
        return isinstance(self.database.place, FilesPlace)

    def a_pass(self) -> str:
        """Return the serial of a pass that a person holds and that nobody has used."""
        return self.held.pop(0)

    def a_carnet(self) -> list[str]:
        """Return the serials of a carnet that is still at the desk."""
        carnet, self.in_stock = self.in_stock[:5], self.in_stock[5:]
        return carnet

    def post(
        self, path: str, body: Any, bearer: str = "site", **headers: str
    ) -> httpx.Response:
        signed = {"Authorization": f"Bearer {self.tokens[bearer]}"} | headers
        return self.http.post(f"/api/v1{path}", json=body, headers=signed)

    def get(self, path: str, bearer: str = "departement", **params: str) -> httpx.Response:
        signed = {"Authorization": f"Bearer {self.tokens[bearer]}"}
        return self.http.get(f"/api/v1{path}", params=params, headers=signed)

    def scan(self, what: str, **more: Any) -> dict[str, Any]:
        """Return the scan of a serial's QR code, or of a text as it is."""
        token = self.world.token(what) if what in self.world.passes else what
        scan = {"id": str(new_id()), "token": token, "workshop": self.workshop}
        return scan | {"at": FEBRUARY.isoformat()} | more

    def count(self, table: Any) -> int:
        with self.database.begin("23", read_only=True) as session:
            return session.scalars(select(func.count()).select_from(table)).one()

    def counts(self) -> list[int]:
        return [self.count(table) for table in (attempt, entry, handed_out, workshops)]

    def sequenced(self) -> None:
        """Wait until everything has its place in the log."""
        if not self.on_sqlite:
            sequence(self.database, now=NOW)
        deadline = time.monotonic() + 60
        while self._waiting():
            assert time.monotonic() < deadline, "the log does not catch up"
            time.sleep(0.01)

    def _waiting(self) -> int:
        with self.database.begin("23", read_only=True) as session:
            return queries.waiting(session)


@pytest.fixture(autouse=True)
def _no_guess_is_remembered(counter):
    """Let each test send what it wants: how guessing is slowed has its own file."""
    counter.http.app.state.serving.guesses = Guesses()


@pytest.fixture(params=ENGINES, scope="module")
def counter(request, tmp_path_factory) -> Iterator[Counter]:
    """One server for the file, on each engine: each test takes passes of its own."""
    folder, tokens = tmp_path_factory.mktemp("counter"), {}
    with a_database(request, request.param, folder) as database:
        with database.begin("23") as session:
            world = a_world(session)
            serials = an_order(session, world, 40)
            handed(session, *serials[:100])
            workshop = str(a_workshop(session))
            for name, scope, at in (
                ("site", "site", "lieu-1"),
                ("other site", "site", "lieu-2"),
                ("desk", "desk", "CAF"),
                ("departement", "departement", None),
            ):
                _id, tokens[name] = new_device(
                    session, "23", scope=scope, at=at, label=name, now=NOW
                )
        app = create_app(an_instance(database, folder))
        with TestClient(app, raise_server_exceptions=False) as http:
            yield Counter(
                http, database, world, serials[:100], serials[100:], workshop, tokens
            )


def words(response: httpx.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [verdict["verdict"] for verdict in response.json()]


def problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    told = response.json()
    assert (told["status"], told["code"], told["type"]) == (
        status,
        code,
        f"urn:passnum:{code}",
    )
    assert told["detail"] not in ("", code)
    return told


def test_a_queue_gets_one_verdict_per_scan_in_order(counter):
    used, second, in_stock = counter.a_pass(), counter.a_pass(), counter.a_carnet()[0]
    genuine = counter.world.token(second)
    forged = genuine[:-1] + ("1" if genuine[-1] == "0" else "0")
    queue = [
        counter.scan(what) for what in (used, used, second, in_stock, forged, "bonjour")
    ]

    answer = counter.post("/scans", queue)

    assert words(answer) == [
        "accepted",
        "already_redeemed",
        "accepted",
        "not_handed_out",
        "forged",
        "mistyped_code",
    ]
    accepted, already, *_ = answer.json()
    assert [verdict["id"] for verdict in answer.json()] == [scan["id"] for scan in queue]
    told = {"id": queue[0]["id"], "verdict": "accepted", "serial": used, "cents": 1000}
    assert accepted == told
    assert (already["on"], already["site"]) == ("2020-02-03", "Médiathèque 1")


def test_a_no_is_a_sentence_in_french_and_in_english_on_request(counter):
    used = counter.a_pass()
    counter.post("/scans", [counter.scan(used)])

    [french] = counter.post("/scans", [counter.scan(used)]).json()
    [english] = counter.post("/scans", [counter.scan(used)], **ENGLISH).json()
    [german] = counter.post(
        "/scans", [counter.scan(used)], **{"Accept-Language": "de"}
    ).json()

    told = "Ce pass a servi le 3 février 2020 à Médiathèque 1. Demandez un autre pass."
    assert french["sentence"] == german["sentence"] == told
    told = "This pass was used on February 3, 2020 at Médiathèque 1. Ask for another pass."
    assert english["sentence"] == told


def test_the_same_queue_again_gets_the_same_verdicts(counter):
    used = counter.a_pass()
    queue = [counter.scan(s) for s in (used, counter.a_pass(), "0" * 191, used)]
    first = counter.post("/scans", queue).json()
    before = counter.counts()

    for _again in range(3):
        again = counter.post("/scans", queue).json()
        assert all(verdict.pop("replayed") for verdict in again)
        assert again == first
    assert counter.counts() == before


def test_a_scan_of_an_unknown_workshop_can_be_sent_again_once_it_is_known(counter):
    opening = {"id": str(new_id()), "site": "lieu-1", "day": "2020-02-03"}
    scan = counter.scan(counter.a_pass(), workshop=opening["id"])

    [before] = counter.post("/scans", [scan]).json()
    assert counter.post("/workshops", opening).status_code == 200
    [after] = counter.post("/scans", [scan]).json()

    assert (before["verdict"], after["verdict"]) == ("workshop_unknown", "accepted")


def test_a_scan_of_another_site_is_refused_and_the_pass_stays_good(counter):
    queue = [counter.scan(counter.a_pass())]
    assert words(counter.post("/scans", queue, "other site")) == ["other_site"]
    assert words(counter.post("/scans", queue)) == ["accepted"]


def test_an_empty_queue_gets_an_empty_answer(counter):
    assert counter.post("/scans", []).json() == []


MALFORMED = {
    "an id that is none": {"id": "SECRET-1"},
    "a workshop that is none": {"workshop": "SECRET-2"},
    "a day that is none": {"at": "SECRET-3"},
    "an instant without its zone": {"at": "2020-02-03T14:00:00"},
    "a token that is a number": {"token": 1234567890123},
    "nothing to scan": {"token": None},
}


@pytest.mark.parametrize("wrong", MALFORMED.values(), ids=MALFORMED.keys())
def test_one_malformed_scan_has_the_whole_queue_sent_back_and_nothing_of_it_kept_or_told(
    counter, wrong
):
    before = counter.counts()
    good, bad = counter.scan(counter.held[0]), counter.scan(counter.held[1]) | wrong

    answer = counter.post("/scans", [good, bad])

    problem(answer, 400, "malformed")
    for secret in (good["token"][-100:], "SECRET", "1234567890123", good["id"]):
        assert secret not in answer.text
    assert counter.counts() == before


@pytest.mark.parametrize("missing", ["id", "token", "workshop", "at"])
def test_a_scan_without_one_of_its_fields_is_malformed(counter, missing):
    scan = counter.scan(counter.held[0])
    del scan[missing]
    problem(counter.post("/scans", [scan]), 400, "malformed")


@pytest.mark.parametrize("body", ["", "[", "{}", "null", '"SECRET"', "[1]", "\xff", "[[]]"])
def test_what_is_not_a_queue_is_malformed(counter, body):
    signed = {"Authorization": f"Bearer {counter.tokens['site']}"}
    signed["Content-Type"] = "application/json"
    content = body.encode("latin-1")
    answer = counter.http.post("/api/v1/scans", content=content, headers=signed)
    assert "SECRET" not in answer.text
    problem(answer, 400, "malformed")


def test_what_a_field_may_not_hold_is_not_told_back(counter):
    undo = {"id": str(new_id()), "serial": counter.held[0], "reason": "SECRET"}
    answer = counter.post("/undos", undo)
    problem(answer, 400, "malformed")
    assert "SECRET" not in answer.text


def test_a_queue_of_more_than_a_thousand_is_refused_whole(counter):
    scan = counter.scan(counter.a_pass())
    queue = [scan | {"id": str(new_id()), "token": "x"} for _ in range(1_000)]

    told = problem(counter.post("/scans", [scan, *queue]), 400, "too_many_scans")

    assert told["facts"] == {"most": 1000}
    assert "1000" in told["detail"]
    assert (
        words(counter.post("/scans", [scan, *queue[1:]]))
        == ["accepted"] + ["mistyped_code"] * 999
    )


def test_a_request_of_several_megabytes_is_refused(counter):
    answer = counter.post("/scans", [counter.scan("9" * 3_000_000)])
    problem(answer, 413, "too_large")


def test_whoever_does_not_sign_in_learns_nothing(counter):
    queue = [counter.scan(counter.held[0])]
    for header in (
        None,
        "Bearer",
        "Bearer ",
        "Bearer pn_23_wrong",
        "Bearer pn_75_wrong",
        "Bearer pn_../x_wrong",
        "Bearer pn__",
        "Bearer pn_23_\x00",
        "Bearer nothing",
        "Basic cGhvbmU6cGhvbmU=",
        counter.tokens["site"],
        f"Bearer {counter.tokens['site']}x",
        f"Bearer {counter.tokens['site'].replace('pn_23', 'pn_974')}",
    ):
        headers = {} if header is None else {"Authorization": header}
        for answer in (
            counter.http.post("/api/v1/scans", json=queue, headers=headers),
            counter.http.post(
                "/api/v1/vouchers/check", json={"token": "x"}, headers=headers
            ),
            counter.http.get("/api/v1/reconciliations/T1", headers=headers),
        ):
            problem(answer, 401, "not_signed_in")
            assert answer.headers["www-authenticate"] == "Bearer"


def test_a_revoked_device_is_refused_within_seconds(counter):
    with counter.database.begin("23") as session:
        identifier, counter.tokens["lost phone"] = new_device(
            session, "23", scope="site", at="lieu-1", label="lost", now=NOW
        )
    queue = [counter.scan(counter.a_pass())]
    assert words(counter.post("/scans", queue, "lost phone")) == ["accepted"]

    with counter.database.begin("23") as session:
        revoke_device(session, identifier, now=NOW)
    time.sleep(2.1)

    problem(counter.post("/scans", queue, "lost phone"), 401, "not_signed_in")
    assert words(counter.post("/scans", queue)) == ["accepted"]


def test_a_token_is_good_for_one_thing_only(counter):
    scan = [counter.scan(counter.held[0])]
    opening = {"id": str(new_id()), "site": "lieu-1", "day": "2020-02-03"}
    undo = {"id": str(new_id()), "serial": counter.held[0], "reason": "wrong_pass"}
    giving = {"id": str(new_id()), "pic": True, "proof": "declared", "carnet": 2}
    before = counter.counts()
    for bearer, path, body in (
        ("desk", "/scans", scan),
        ("departement", "/scans", scan),
        ("desk", "/workshops", opening),
        ("desk", "/undos", undo),
        ("site", "/hand-outs", giving),
        ("departement", "/hand-outs", giving),
        ("departement", "/vouchers/check", {"token": "x"}),
    ):
        told = problem(counter.post(path, body, bearer), 403, "not_allowed")
        assert told["facts"] == {"scope": bearer}
    assert counter.counts() == before


def test_only_a_reader_of_the_departement_reconciles(counter):
    for bearer in ("site", "desk"):
        problem(counter.get("/reconciliations/T1", bearer), 403, "not_allowed")


def test_a_workshop_is_recorded_once_under_the_phones_own_id(counter):
    opening = {"id": str(new_id()), "site": "lieu-1", "day": "2020-02-03"}
    before = counter.count(workshops)

    first = counter.post("/workshops", opening).json()
    again = counter.post("/workshops", opening).json()
    other = counter.post("/workshops", opening | {"day": "2020-02-02"})

    assert first["id"] == opening["id"]
    assert (again.pop("replayed"), first.pop("replayed")) == (True, False)
    assert again == first
    problem(other, 409, "act_reused")
    assert counter.count(workshops) == before + 1


def test_a_workshop_elsewhere_or_tomorrow_is_refused(counter):
    for site, day, status, code in (
        ("lieu-2", "2020-02-03", 403, "other_site"),
        ("nowhere", "2020-02-03", 404, "not_found"),
        ("lieu-1", "2020-02-04", 409, "workshop_in_future"),
    ):
        opening = {"id": str(new_id()), "site": site, "day": day}
        problem(counter.post("/workshops", opening), status, code)


def test_a_phone_whose_clock_was_wrong_sends_its_workshop_and_its_scans_again(counter):
    opening = {"id": str(new_id()), "site": "lieu-1", "day": "0001-01-01"}
    queue = [counter.scan(counter.a_pass()) | {"workshop": opening["id"]}]
    before = counter.counts()

    for day, code in (
        ("0001-01-01", "workshop_too_early"),
        ("2014-12-31", "workshop_too_early"),
        ("9999-12-31", "workshop_in_future"),
    ):
        for _again in range(2):
            told = counter.post("/workshops", opening | {"day": day})
            assert "téléphone" in problem(told, 409, code)["detail"]
    assert words(counter.post("/scans", queue)) == ["workshop_unknown"]
    assert counter.counts() == before

    first = counter.post("/workshops", opening | {"day": "2020-02-03"})
    assert first.status_code == 200, first.text
    assert words(counter.post("/scans", queue)) == ["accepted"]


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("insertion professionnelle VIA le numerique", "Insertion professionnelle via le numérique"),
        ("Atelier avec une personne, 06 12 34 56 78", "Autre"),
        ("\x00", "Autre"),
    ],
)  # fmt: skip
def test_a_service_that_is_not_listed_loses_no_workshop_and_is_written_nowhere(
    counter, said, kept
):
    opening = {"id": str(new_id()), "site": "lieu-1", "day": "2020-02-03", "service": said}

    first = counter.post("/workshops", opening)
    again = counter.post("/workshops", opening)

    assert first.status_code == 200, first.text
    assert first.json()["facts"]["service"] == kept
    assert again.json()["replayed"]
    assert again.json()["facts"] == first.json()["facts"]
    with counter.database.begin("23", read_only=True) as session:
        chosen = select(workshops.c.service).where(workshops.c.id == UUID(opening["id"]))
        assert session.scalar(chosen) == kept


@pytest.mark.parametrize("site", ["²", "9" * 30, "\x00", "'", "lieu-1\x00", "é" * 300])
def test_a_site_of_a_strange_name_is_not_found(counter, site):
    opening = {"id": str(new_id()), "site": site, "day": "2020-02-03"}
    answer = counter.post("/workshops", opening)
    assert answer.status_code in (400, 404), answer.text


def test_an_undone_scan_gives_the_pass_back(counter):
    serial = counter.a_pass()

    def undo(bearer: str = "site", act: str = "") -> httpx.Response:
        asked = {"id": act or str(new_id()), "serial": serial, "reason": "wrong_pass"}
        return counter.post("/undos", asked, bearer)

    problem(undo(), 409, "nothing_to_undo")
    counter.post("/scans", [counter.scan(serial)])
    problem(undo("other site"), 403, "other_site")
    act = str(new_id())
    first, again = undo(act=act), undo(act=act)

    assert (first.status_code, again.status_code) == (200, 200)
    assert again.json()["replayed"]
    assert words(counter.post("/scans", [counter.scan(serial)])) == ["accepted"]


def test_looking_at_a_pass_changes_nothing(counter):
    serial, in_stock = counter.a_pass(), counter.in_stock[0]
    printed = counter.world.passes[serial]

    def check(token: str, bearer: str = "site") -> dict[str, Any]:
        answer = counter.post("/vouchers/check", {"token": token}, bearer)
        assert answer.status_code == 200, answer.text
        return answer.json()

    before = counter.counts()
    typed = printed.code.lower().replace(" ", "-")
    seen = [check(text) for text in (printed.url, printed.url[-191:], printed.code, typed)]
    stock = check(counter.world.token(in_stock), "desk")
    forged = check("https://x/v/12")
    mistyped = check(printed.code[:-1] + ("0" if printed.code[-1] != "0" else "1"))

    good_until = CALENDAR.tolerance_until.isoformat()
    good = {"state": "good", "serial": serial, "cents": 1000, "good_until": good_until}
    assert seen == [good] * 4
    assert stock["state"] == "not_handed_out"
    assert (forged, mistyped) == ({"state": "forged"}, {"state": "mistyped_code"})
    assert counter.counts() == before
    assert words(counter.post("/scans", [counter.scan(serial)])) == ["accepted"]
    used = check(printed.url)
    assert (used["state"], used["used_on"]) == ("redeemed", "2020-02-03")
    assert used["used_at"] == "Médiathèque 1"


def test_a_desk_hands_out_a_carnet_once(counter):
    carnet = counter.a_carnet()
    giving = {"id": str(new_id()), "pic": True, "proof": "attested", "category": "rsa"}
    giving["carnet"] = int(carnet[0].split("-")[1])
    before = counter.count(handed_out)

    first = counter.post("/hand-outs", giving, "desk")
    again = counter.post("/hand-outs", giving, "desk")
    twice = counter.post("/hand-outs", giving | {"id": str(new_id())}, "desk")

    assert first.json()["facts"]["count"] == 5
    assert again.json()["facts"] == first.json()["facts"]
    problem(twice, 409, "already_handed_out")
    assert counter.count(handed_out) == before + 5
    queue = [counter.scan(serial) for serial in carnet]
    assert words(counter.post("/scans", queue)) == ["accepted"] * 5


def queued(carnet: list[str], **more: Any) -> dict[str, Any]:
    """Return a hand-out that a device kept while it had no network."""
    asked = {"id": str(new_id()), "pic": True, "proof": "attested", "serials": carnet[:1]}
    return asked | {"given_at": "2020-02-03T08:30:00+01:00"} | more


def test_a_queue_of_hand_outs_is_judged_one_by_one_and_sent_again_without_harm(counter):
    carnet, other = counter.a_carnet(), counter.a_carnet()
    queue = [
        queued(carnet, shown="kept"),
        queued(carnet),
        queued(["nonsense"]),
        queued(other, holder={"surname": "A", "first_name": "B", "born_on": "1990-01-01"}),
    ]
    before = counter.count(handed_out)
    first = counter.post("/hand-outs/queue", queue, "desk")
    told = first.json()
    assert words(first) == [
        "accepted",
        "already_handed_out",
        "malformed_serial",
        "accepted",
    ]
    assert [v["id"] for v in told] == [one["id"] for one in queue]
    assert "sentence" not in told[0]
    assert told[1]["sentence"].endswith(".")
    assert not any(v.get("again") for v in told)
    assert counter.count(handed_out) == before + 2

    again = counter.post("/hand-outs/queue", queue, "desk")
    assert words(again) == words(first)
    assert [v["replayed"] for v in again.json()] == [True] * 4
    assert counter.count(handed_out) == before + 2
    with counter.database.begin("23", read_only=True) as session:
        shown = select(attempt.c.shown).where(attempt.c.id == UUID(queue[0]["id"]))
        assert session.scalars(shown).one() == "kept"


def test_a_device_that_says_when_is_believed_within_bounds_and_marked_beyond(counter):
    claims = {
        "2020-02-03T08:30:00+01:00": (None, None, "2020-02-03"),
        "2020-01-31T23:30:00Z": (True, None, "2020-02-01"),
        "2020-02-03T13:01:00Z": (None, None, "2020-02-03"),
        "2020-03-03T15:00:00Z": (None, "ahead", "2020-02-03"),
        "1970-01-01T00:00:00Z": (None, "behind", "2020-02-03"),
        "0001-01-01T00:00:00+14:00": (None, "behind", "2020-02-03"),
    }
    queue = [queued(counter.a_carnet(), given_at=at) for at in claims]
    told = counter.post("/hand-outs/queue", queue, "desk").json()
    facts = [v["facts"] for v in told]
    with counter.database.begin("23", read_only=True) as session:
        rows = dict(
            session.execute(
                select(entry.c.id, entry.c.occurred_on).where(
                    entry.c.id.in_([UUID(one["id"]) for one in queue])
                )
            ).all()
        )
    days = [rows[UUID(one["id"])].isoformat() for one in queue]
    found = [
        (f.get("recorded_late"), f.get("device_clock"), day)
        for f, day in zip(facts, days, strict=True)
    ]
    assert found == list(claims.values())


def test_a_clock_at_the_beginning_of_time_refuses_no_single_hand_out_either(counter):
    asked = queued(counter.a_carnet(), given_at="0001-01-01T00:00:00+14:00")
    told = counter.post("/hand-outs", asked, "desk")
    assert told.json()["facts"]["device_clock"] == "behind"
    again = counter.post("/hand-outs", asked, "desk")
    assert again.json()["facts"] == told.json()["facts"]


def test_a_queue_that_is_too_long_or_another_s_records_nothing(counter):
    before = counter.counts()
    queue = [queued(["23-000001-1"]) for _ in range(501)]
    problem(counter.post("/hand-outs/queue", queue, "desk"), 400, "too_many_hand_outs")
    problem(counter.post("/hand-outs/queue", queue[:1], "site"), 403, "not_allowed")
    naive = [queued(["23-000001-1"], given_at="2020-02-03T08:30:00")]
    problem(counter.post("/hand-outs/queue", naive, "desk"), 400, "malformed")
    assert counter.counts() == before


def test_a_desk_cannot_speak_for_another(counter):
    giving = {"id": str(new_id()), "pic": True, "proof": "attested", "desk": "MSA"}
    giving["serials"] = counter.a_carnet()[:1]
    answer = counter.post("/hand-outs", giving, "desk")
    assert answer.status_code in (200, 400)
    with counter.database.begin("23") as session:
        bodies = session.scalars(select(entry.c.body).where(entry.c.kind == "handed_out"))
        assert not [body for body in bodies if b"MSA" in body]


@pytest.mark.parametrize(
    "wrong",
    [
        {"carnet": 10**30},
        {"carnet": 2**63},
        {"carnet": 2**40},
        {"carnet": 99},
        {"carnet": 0},
        {"carnet": -1},
        {},
        {"serials": ["nonsense"]},
        {"serials": ["23-000099-1"]},
        {"serials": ["974-000001-1"]},
        {"serials": ["\x00"]},
        {"carnet": 22, "category": "\x00"},
    ],
    ids=str,
)
def test_a_hand_out_that_makes_no_sense_is_refused_politely(counter, wrong):
    giving = {"id": str(new_id()), "pic": False, "proof": "declared"}
    before = counter.count(handed_out)
    answer = counter.post("/hand-outs", giving | wrong, "desk")
    assert answer.status_code in (400, 404, 409), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert counter.count(handed_out) == before


def test_a_reconciliation_adds_up_to_the_envelope(counter):
    counter.post("/scans", [counter.scan(counter.a_pass()) for _ in range(3)])
    counter.sequenced()

    told = counter.get("/reconciliations/T1").json()

    [tranche] = told["tranches"]
    used = tranche["used_cents"]
    assert used >= 3000
    assert sum(line["cents"] for line in tranche["lines"]) == tranche["envelope_cents"]
    parts = {part["convention"]: part["cents"] for part in tranche["funders"]}
    assert parts == {"FSE": used * 6 // 10, "ETAT": used * 2 // 10, "DEP": used * 2 // 10}
    assert "call" not in told


def test_a_reconciliation_of_a_call_sums_its_tranches(counter):
    counter.sequenced()
    told = counter.get("/reconciliations", call="AAP").json()
    assert told["call"]["call"] == "AAP"
    assert told["call"]["used_cents"] == told["tranches"][0]["used_cents"]
    assert [tranche["tranche"] for tranche in told["tranches"]] == ["T1"]
    problem(counter.get("/reconciliations", call="NONE"), 404, "not_found")


def test_a_reconciliation_looks_back_in_the_world_and_in_the_books(counter):
    counter.post("/scans", [counter.scan(counter.a_pass())])
    counter.sequenced()

    def used(**asked: str) -> int:
        [tranche] = counter.get("/reconciliations/T1", **asked).json()["tranches"]
        return tranche["used_cents"]

    assert used(as_of="2020-02-02") == 0
    assert used(as_of="2020-02-03") == used() >= 1000
    assert used(known_by="2020-02-04") == used()
    # The log of that day knew of no tranche, nor of a call.
    before = {"known_by": "2019-12-31", "as_of": "2020-02-03"}
    problem(counter.get("/reconciliations/T1", **before), 404, "not_found")
    problem(counter.get("/reconciliations", call="AAP", **before), 404, "not_found")
    for wrong in ({"as_of": "hier"}, {"known_by": "2020-13-01"}, {"log_size": "beaucoup"}):
        problem(counter.get("/reconciliations/T1", **wrong), 400, "malformed")


def test_a_reconciliation_of_a_log_size_stays_the_same(counter):
    counter.post("/scans", [counter.scan(counter.a_pass())])
    counter.sequenced()
    [now] = counter.get("/reconciliations/T1").json()["tranches"]
    size = now["log_size"]
    first = counter.get("/reconciliations/T1", log_size=size)

    counter.post("/scans", [counter.scan(counter.a_pass())])
    counter.sequenced()

    assert counter.get("/reconciliations/T1", log_size=size).content == first.content
    [then] = first.json()["tranches"]
    assert then["not_yet_logged"] is None
    assert {**then, "known_by": 0, "not_yet_logged": 0} == {**now, "known_by": 0}
    [later] = counter.get("/reconciliations/T1").json()["tranches"]
    assert later["used_cents"] == then["used_cents"] + 1000
    for wrong in (-1, 10**30):
        answer = counter.get("/reconciliations/T1", log_size=wrong)
        problem(answer, 404, "no_such_log_size")
    both = {"log_size": size, "known_by": "2020-02-01"}
    problem(counter.get("/reconciliations/T1", **both), 400, "known_by_twice")


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_a_reconciliation_of_the_ends_of_time_is_one_too(counter, day):
    for asked in ({"as_of": day}, {"known_by": day}):
        answer = counter.get("/reconciliations/T1", **asked)
        assert answer.status_code in (200, 400, 404), answer.text


def test_a_tranche_that_is_not_there_is_not_found(counter):
    for name in ("T9", "é", "'", "%2e%2e"):
        problem(counter.get(f"/reconciliations/{name}"), 404, "not_found")
    assert counter.get("/reconciliations/%00").status_code in (400, 404)
    assert "T9" in counter.get("/reconciliations/T9").json()["detail"]


def _page(counter: Counter, what: str, **headers: str) -> httpx.Response:
    return counter.http.get(f"/V/{what[-191:]}", headers=headers)


def test_whoever_holds_a_pass_sees_what_it_is_worth(counter):
    serial = counter.a_pass()
    token = counter.world.token(serial)
    before = counter.counts()

    good = _page(counter, token)
    english = _page(counter, token, **ENGLISH)
    small = counter.http.get(f"/v/{token[-191:]}")
    assert counter.counts() == before
    counter.post("/scans", [counter.scan(serial)])
    used = _page(counter, token)

    assert good.status_code == used.status_code == 200
    assert small.text == good.text
    assert "Pass valable" in good.text
    assert "31 janvier 2021" in good.text
    assert "10,00" in good.text
    assert serial in good.text
    assert '<html lang="en">' in english.text
    assert "January 31, 2021" in english.text
    assert "Pass déjà utilisé" in used.text
    assert "Médiathèque 1" in used.text


def test_the_address_of_a_pass_is_not_repeated_on_its_page(counter):
    token = counter.world.token(counter.held[0])
    assert token[-191:] not in _page(counter, token).text
    assert token[-191:] not in _page(counter, token[:-1] + "7").text


def test_a_forged_pass_and_one_from_elsewhere_are_not_found(counter):
    token = int(counter.world.token(counter.held[0])[-191:]).to_bytes(79, "big")
    altered = token[:-1] + bytes([token[-1] ^ 1])
    in_paris = token[:2] + int("75", 36).to_bytes(2, "big") + token[4:]
    nowhere = token[:2] + b"\xff\xff" + token[4:]
    for wrong, title in (
        (altered, "Pass non reconnu"),
        (nowhere, "Pass non reconnu"),
        (in_paris, "Pass inconnu"),
    ):
        page = _page(counter, f"{int.from_bytes(wrong, 'big'):0191d}")
        assert page.status_code == 404
        assert title in page.text
    for wrong in ("9" * 191, "12", "bonjour", "%00", "²"):
        page = counter.http.get(f"/V/{wrong}")
        assert page.status_code == 404
        assert "Pass non reconnu" in page.text


def test_every_page_keeps_the_address_of_a_pass_to_itself(counter):
    token = counter.world.token(counter.held[0])
    for page in (counter.http.get("/"), _page(counter, token), _page(counter, "12")):
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["x-content-type-options"] == "nosniff"
        assert "noindex" in page.headers["x-robots-tag"]
        assert "<script" not in page.text
        assert " style=" not in page.text


def test_the_style_sheet_is_served_and_nothing_else_of_the_disk(counter):
    sheet = counter.http.get(asset("pass.css"))
    assert sheet.status_code == 200
    assert sheet.headers["content-type"].startswith("text/css")
    assert counter.http.get("/static/../web.py").status_code == 404
    assert counter.http.get("/static/%2e%2e/web.py").status_code == 404


def test_no_secret_and_no_person_is_ever_logged(counter, caplog, capfd):
    printed = counter.world.passes[counter.a_pass()]
    carnet = int(counter.a_carnet()[0].split("-")[1])
    giving = {"id": str(new_id()), "pic": True, "proof": "attested", "carnet": carnet}
    # The client of this test is no part of the server.
    caplog.set_level(logging.WARNING, "httpx")
    loggers = [logging.getLogger(name) for name in ("litestar", "app", "sqlalchemy")]
    for logger in loggers:
        logger.addHandler(caplog.handler)
    with caplog.at_level(logging.DEBUG):
        scan = counter.scan(str(printed.serial), shown="accepted")
        counter.post("/scans", [scan, counter.scan(printed.code)])
        counter.post("/scans", [scan | {"id": "x"}])
        counter.post("/vouchers/check", {"token": printed.code})
        counter.post("/hand-outs", giving | {"category": "young"}, "desk")
        counter.post("/hand-outs", giving | {"category": "young", "id": "x"}, "desk")
        _page(counter, printed.url)
        counter.http.get("/V/123", headers={"Authorization": "Bearer pn_23_x"})
    for logger in loggers:
        logger.removeHandler(caplog.handler)

    written = capfd.readouterr()
    logged = "\n".join(f"{r.getMessage()} {r.args} {r.exc_info}" for r in caplog.records)
    secrets = [printed.url[-191:], printed.url[-100:], printed.code, "young"]
    secrets += [*counter.tokens.values(), SECRET.decode()]
    for told in (logged, written.out, written.err):
        assert not [secret for secret in secrets if secret in told]


def test_a_failure_of_ours_is_told_without_its_inside(counter):
    opening = {"id": str(new_id()), "site": "lieu-1", "day": "2020-02-03"}
    tables = ("workshop", "voucher")
    with counter.database.place.connection("23", "owner") as connection:
        for table in tables:
            connection.execute(text(f"ALTER TABLE {table} RENAME TO {table}_gone"))
    try:
        queue = [counter.scan(counter.held[0])]
        answers = counter.post("/workshops", opening), counter.post("/scans", queue)
    finally:
        with counter.database.place.connection("23", "owner") as connection:
            for table in tables:
                connection.execute(text(f"ALTER TABLE {table}_gone RENAME TO {table}"))

    assert words(counter.post("/scans", [counter.scan(counter.a_pass())])) == ["accepted"]
    for answer in answers:
        assert not any(table in answer.text for table in tables)
        assert "SELECT" not in answer.text
        problem(answer, 500, "failed")


def test_a_failure_of_ours_leaves_a_trace_for_whoever_runs_the_server(counter, caplog):
    opening = {"id": str(new_id()), "site": "lieu-1", "day": "2020-02-03"}
    logging.getLogger("litestar").addHandler(caplog.handler)
    with counter.database.place.connection("23", "owner") as connection:
        connection.execute(text("ALTER TABLE workshop RENAME TO gone"))
    try:
        counter.post("/workshops", opening)
    finally:
        logging.getLogger("litestar").removeHandler(caplog.handler)
        with counter.database.place.connection("23", "owner") as connection:
            connection.execute(text("ALTER TABLE gone RENAME TO workshop"))
    assert [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_the_api_describes_itself(counter):
    described = counter.http.get("/api/v1/openapi.json").json()

    told = {
        (path.rstrip("/"), method.upper())
        for path, methods in described["paths"].items()
        for method in methods
    }
    assert told == {
        ("/api/v1/scans", "POST"),
        ("/api/v1/workshops", "POST"),
        ("/api/v1/undos", "POST"),
        ("/api/v1/vouchers/check", "POST"),
        ("/api/v1/hand-outs", "POST"),
        ("/api/v1/hand-outs/queue", "POST"),
        ("/api/v1/reconciliations", "GET"),
        ("/api/v1/reconciliations/{tranche}", "GET"),
    }
    served = {
        (route.path_format.rstrip("/"), method)
        for route in counter.http.app.routes
        for method in getattr(route, "methods", ())
        if route.path_format.startswith("/api/v1/") and method != "OPTIONS"
    }
    assert told <= served
    others = {path for path, _method in served - told}
    assert not {
        p for p in others if not p.startswith("/api/v1/openapi") and "{path" not in p
    }
    assert described["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


def test_the_server_says_that_it_is_well(counter):
    assert counter.http.get("/health").json() == {"status": "ok", "departements": 2}


def test_a_page_that_is_not_there_is_told_as_a_problem(counter):
    problem(counter.http.get("/api/v1/nothing"), 404, "no_such_page")
    problem(counter.http.get("/api/v1/scans"), 405, "method_not_allowed")


def test_the_log_soon_holds_everything(counter):
    counter.post("/scans", [counter.scan(counter.a_pass()) for _ in range(5)])
    opening = {"id": str(new_id()), "site": "lieu-1", "day": "2020-02-03"}
    counter.post("/workshops", opening)
    giving = {"id": str(new_id()), "pic": True, "proof": "attested"}
    counter.post("/hand-outs", giving | {"serials": counter.a_carnet()[:2]}, "desk")

    counter.sequenced()

    with counter.database.begin("23") as session:
        assert queries.log_size(session) == counter.count(entry)


def test_a_scan_of_tomorrow_happened_when_it_was_received(counter):
    tomorrow = (FEBRUARY + timedelta(days=1)).isoformat()
    scan = counter.scan(counter.a_pass(), at=tomorrow)
    assert words(counter.post("/scans", [scan])) == ["accepted"]
    with counter.database.begin("23") as session:
        kept = select(entry.c.occurred_at).where(entry.c.id == UUID(scan["id"]))
        assert session.scalars(kept).one() == FEBRUARY


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
def test_a_phone_whose_clock_is_mad_does_not_stop_the_counter(counter, at):
    answer = counter.post("/scans", [counter.scan(counter.a_pass(), at=at)])
    assert answer.status_code in (200, 400), answer.text


@pytest.mark.parametrize(
    "strange", ["\x00", "²", "\u2028", "é" * 5_000, "💶", "23-000001-1\x00"]
)
def test_strange_characters_do_not_stop_the_counter(counter, strange):
    for field in ("token", "shown"):
        scan = counter.scan(counter.held[0]) | {field: strange}
        answer = counter.post("/scans", [scan])
        assert answer.status_code in (200, 400), answer.text
        if field == "shown" and answer.status_code == 200:
            counter.a_pass()


def test_what_a_screen_said_spoils_no_queue(counter):
    """PostgreSQL has no room for a NUL; the rest of what was said is kept."""
    queue = [counter.scan(counter.a_pass()) for _ in range(3)]
    queue[1]["shown"] = "accept\x00é"
    assert words(counter.post("/scans", queue)) == ["accepted"] * 3
    carnet = counter.a_carnet()
    giving = [queued([serial], shown="\x00") for serial in carnet[:2]]
    assert words(counter.post("/hand-outs/queue", giving, "desk")) == ["accepted"] * 2
    with counter.database.begin("23", read_only=True) as session:
        said = [
            session.scalar(select(attempt.c.shown).where(attempt.c.id == UUID(one["id"])))
            for one in (*queue[:2], giving[0])
        ]
    assert said == [None, "accept\ufffdé", "\ufffd"]


def test_text_that_one_database_cannot_hold_is_malformed_on_both(counter):
    opening = {"id": str(new_id()), "site": "lieu-1", "day": "2020-02-03"}
    undo = {"id": str(new_id()), "serial": "23-000001-1\x00", "reason": "wrong_pass"}
    before = counter.counts()
    for path, body in (
        ("/workshops", opening | {"site": "lieu-1\x00"}),
        ("/undos", undo),
    ):
        problem(counter.post(path, body), 400, "malformed")
    assert counter.counts() == before


def test_no_request_that_fits_the_description_breaks_the_server(counter):
    described = schemathesis.openapi.from_dict(
        counter.http.get("/api/v1/openapi.json").json()
    )
    bearers = {"/hand-outs": "desk", "/reconciliations": "departement"}
    for found in described.get_all_operations():
        operation = found.ok()
        bearer = next((b for part, b in bearers.items() if part in operation.path), "site")
        signed = {"Authorization": f"Bearer {counter.tokens[bearer]}"}

        @settings(max_examples=10, deadline=None, database=None)
        @given(case=operation.as_strategy())
        def call(case: Any) -> None:
            asked = case.as_transport_kwargs(base_url="http://testserver.local")
            sent = {key: asked[key] for key in ("method", "url", "params") if key in asked}
            answer = counter.http.request(**sent, json=asked.get("json"), headers=signed)  # noqa: B023 - called at once
            assert answer.status_code < 500, answer.text

        call()
