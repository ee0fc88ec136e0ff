"""Making a large order, beside signing alone and COPY alone of the same rows, in the same run."""

import resource
import time
from typing import Any

from sqlalchemy import func, select

from app.database import Database
from bench.world import calendar
from issuance import tokens
from issuance.making import pieces, signed_ahead, stamp, write_piece
from issuance.models import voucher
from issuance.orders import OrderRow, PlaceOrder, order_row, place_order
from issuance.processes import cores
from issuance.serials import Serial
from ledger.identifiers import new_id
from tests.builders import World, a_world, done

CARNET = 5
SAMPLE = 50_000
COLUMNS = ("serial", "carnet", "rank", "order_number", "token_digest", "code_digest")


def bench_making(database: Database, passes: int) -> None:
    """Place an order of so many passes in an empty département and make it; print what it took."""
    days, now = calendar()
    with database.begin("23") as session:
        world = a_world(session, envelope_cents=passes * 1000, calendar=days, now=now)
        asked = PlaceOrder(new_id(), "T1", passes // CARNET)
        placed = done(place_order(session, asked, signer=world.signer, by="bench", now=now))
        order = order_row(session, placed.facts["order"])
    started = time.perf_counter()
    for signed in signed_ahead(order, range(pieces(order)), world.signer):
        with database.begin("23") as session:
            done(write_piece(session, order, signed, by="bench", now=now))
    made = time.perf_counter() - started
    memory = [
        resource.getrusage(who).ru_maxrss // 1024
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ]
    signing, copying = _signing(order, world, passes), _copying(database)
    with database.begin("23", read_only=True) as session:
        count = session.scalar(select(func.count()).select_from(voucher))
    print(
        f"  {count} vouchers made in {made:.1f} s by {cores()} processes,"
        f" {made / (signing + copying):.2f} × signing alone on one core ({signing:.1f} s)"
        f" + writing the same rows alone ({copying:.1f} s)  (target 1.5)"
    )
    print(f"    {memory[0]} MiB at most here, {memory[1]} MiB in a process that signs")


def _signing(order: OrderRow, world: World, passes: int) -> float:
    """Return how long signing this many tokens takes on one core, from a sample."""
    by, key = stamp(order, world.signer), world.signer.voucher_key
    faces = [
        by.face(Serial("23", order.first_carnet + n // CARNET, n % CARNET + 1))
        for n in range(min(SAMPLE, passes))
    ]
    started = time.perf_counter()
    for face in faces:
        tokens.sign(face, key)
    return (time.perf_counter() - started) * passes / len(faces)


def _copying(database: Database) -> float:
    """Return how long the rows alone take to write in one transaction, to the same table, emptied."""
    with database.begin("23", read_only=True) as session:
        chosen = [voucher.c[name] for name in COLUMNS]
        rows: list[Any] = [tuple(row) for row in session.execute(select(*chosen))]
    engine = database.place.engine("owner")
    with engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL ROLE d23_owner")
        connection.exec_driver_sql("SET LOCAL search_path = d23")
        connection.exec_driver_sql("CREATE TABLE alone (LIKE voucher INCLUDING ALL)")
        raw: Any = connection.connection.driver_connection
        started = time.perf_counter()
        with raw.cursor() as cursor:
            into = f"COPY alone ({', '.join(COLUMNS)}) FROM STDIN (FORMAT BINARY)"
            with cursor.copy(into) as copy:
                copy.set_types(["text", "int8", "int8", "int8", "bytea", "bytea"])
                for row in rows:
                    copy.write_row(row)
        took = time.perf_counter() - started
        connection.exec_driver_sql("DROP TABLE alone")
    return took
