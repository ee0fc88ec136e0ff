"""What the benchmark runs on: a département whose passes are handed out and ready to be scanned."""

import gc
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from uuid import UUID

from app.database import Database
from app.devices import new_device
from funding.tranches import Calendar
from issuance.hand_outs import HandOut
from issuance.keys import Keyring
from issuance.making import pieces, signed_ahead, write_piece
from issuance.orders import OrderRow, order_row
from issuance.paper import printed_passes
from ledger import sequencer
from ledger.identifiers import new_id
from ledger.log_keys import NewLogKey, new_log_key
from ledger.moments import Moment
from redemption.counter import Device, Presented, Scan, redeem
from tests.builders import (
    SECRET,
    ActivateOrder,
    Deliver,
    PlaceOrder,
    World,
    a_workshop,
    a_world,
    activate_order,
    deliver,
    done,
    hand_out,
    place_order,
    project,
)
from tests.conftest import CREUSE, moment

CARNET = 5
GIVEN_AT_ONCE = 500  # passes; the hand-out is not what is measured
LOG = "bench.example/23"


@dataclass
class Ready:
    """A world, its tokens not yet scanned, and the token of a device at its site."""

    database: Database
    world: World
    order: OrderRow
    workshop: UUID
    bearer: str
    tokens: Iterator[str]

    def take(self, count: int) -> list[str]:
        """Return tokens that nobody has scanned yet."""
        return list(islice(self.tokens, count))


def calendar() -> tuple[Calendar, Moment]:
    """Return a calendar around today, and this moment."""
    now = moment(datetime.now(UTC).date(), 0)
    year = now.day + timedelta(days=365)
    return Calendar(year, year, year, year, year, year), now


def build(database: Database, passes: int) -> Ready:
    """Make, activate, deliver and hand out this many passes through the real operations.

    The log has its key, so that what is measured later is signed as it is in earnest.
    """
    days, now = calendar()
    carnets = passes // CARNET
    started = time.perf_counter()
    with database.begin("23") as session:
        world = a_world(session, envelope_cents=passes * 1000, calendar=days, now=now)
        log_key = NewLogKey(new_id(), LOG)
        done(new_log_key(session, log_key, secret=SECRET, by="bench", now=now))
        placed = PlaceOrder(new_id(), "T1", carnets)
        answer = done(
            place_order(session, placed, signer=world.signer, by="bench", now=now)
        )
        order = order_row(session, answer.facts["order"])
    for signed in signed_ahead(order, range(pieces(order)), world.signer):
        with database.begin("23") as session:
            done(write_piece(session, order, signed, by="bench", now=now))
    made = time.perf_counter() - started
    with database.begin("23") as session:
        done(
            activate_order(
                session, ActivateOrder(new_id(), order.number, "ENG"), by="b", now=now
            )
        )
    for first in range(order.first_carnet, order.first_carnet + carnets, 10_000):
        last = min(first + 10_000, order.first_carnet + carnets) - 1
        with database.begin("23") as session:
            done(
                deliver(session, Deliver(new_id(), "CAF", first, last), by="bench", now=now)
            )
    serials = [
        f"23-{number:06d}-{rank}"
        for number in range(order.first_carnet, order.first_carnet + carnets)
        for rank in range(1, CARNET + 1)
    ]
    for start in range(0, len(serials), GIVEN_AT_ONCE):
        chosen = tuple(serials[start : start + GIVEN_AT_ONCE])
        request = HandOut(new_id(), "CAF", pic=True, proof="attested", serials=chosen)
        with database.begin("23") as session:
            done(hand_out(session, request, by="bench", now=now))
    with database.begin("23") as session:
        workshop = a_workshop(session, now.day.isoformat(), now=now)
        _, bearer = new_device(
            session, "23", scope="site", at="lieu-1", label="bench", now=now
        )
    drain(database)
    print(
        f"  {passes} passes made in {made:.0f} s, ready in {time.perf_counter() - started:.0f} s"
    )
    tokens = (p.url for p in printed_passes(order, world.signer, CREUSE.host))
    return Ready(database, world, order, workshop, bearer, tokens)


def drain(database: Database) -> float:
    """Sequence everything that waits; return how many entries a second."""
    _, now = calendar()
    # The sequencer is a process of its own: what this one holds for its own ends is not its to sweep.
    gc.collect()
    gc.freeze()
    entries, started = 0, time.perf_counter()
    while True:
        with database.begin("23", "sequencer") as session:
            stepped = sequencer.step(session, at=now.at, project=[project])
        if not stepped:
            return entries / max(time.perf_counter() - started, 1e-9)
        entries += stepped


def write_bodies(ready: Ready, path: Path, requests: int, scans: int) -> None:
    """Write one request body a line: queues of this many scans, each pass once."""
    _, now = calendar()
    with path.open("w", encoding="ascii") as file:
        for _request in range(requests):
            queue = [
                {
                    "id": str(new_id()),
                    "token": token,
                    "workshop": str(ready.workshop),
                    "at": now.at.isoformat(),
                }
                for token in ready.take(scans)
            ]
            if len(queue) < scans:
                return
            file.write(json.dumps(queue) + "\n")


def redeem_all(ready: Ready, tokens: Sequence[str], ring: Keyring) -> None:
    """Redeem passes a thousand at a time, without HTTP, to fill the journal."""
    _, now = calendar()
    device = Device("bench", None)
    for start in range(0, len(tokens), 1000):
        queue = [
            Presented(Scan(new_id(), token, ready.workshop, now.at), device)
            for token in tokens[start : start + 1000]
        ]
        with ready.database.begin("23") as session:
            verdicts = redeem(session, queue, now=now, keyring=ring)
        assert all(v.verdict == "accepted" for v in verdicts), verdicts[0]


__all__ = ["SECRET", "Ready", "build", "drain", "redeem_all", "write_bodies"]
