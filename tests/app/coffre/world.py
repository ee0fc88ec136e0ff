"""A département with something of everything, published, and its coffres."""

import io
import json
import os
import subprocess
import sys
import zipfile
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.orm import Session

from app.coffre import export as exporting
from app.coffre import verify
from app.coffre.proofs import newest_seal
from app.coffre.scopes import of_call, of_site
from app.database import Database
from funding.hand_out_rules import HandOutRules
from funding.operations import (
    ExtendConvention,
    SuspendProgramme,
    extend_convention,
    suspend_programme,
)
from funding.tranches import (
    AmendCalendar,
    ChangeShares,
    OpenTranche,
    amend_calendar,
    change_shares,
)
from issuance.attestations import FileAttestation, SignedPaper, file_attestation
from issuance.cancelling import CancelOrder, cancel_order
from issuance.counts import Count, count_stock
from issuance.desks import OpenDesk, open_desk
from issuance.orders import PlaceOrder, place_order
from issuance.print_batches import RecordBatch, record_batch
from issuance.proofs import ApproveProof, Look, approve_proof
from issuance.transfers import Receive, Send, receive, send
from ledger.identifiers import new_id
from ledger.log_keys import NewLogKey, log_signers, new_log_key
from ledger.moments import Moment
from ledger.notes import COSIGNATURE, Checkpoint, Note, cosign, public_key, read, sign
from ledger.publishing import keep_cosignatures, newest, publish
from ledger.witness_policies import SetPolicy, set_policy
from redemption.blocking import BlockCarnet, BlockStock, block_carnet, block_stock
from redemption.lapsing import Lapse, lapse
from redemption.replacing import ReplaceHandOut, replace_hand_out
from redemption.sites import (
    Accredit,
    EndAccreditation,
    accredit,
    end_accreditation,
    open_tranche,
)
from redemption.undoing import Undo, undo
from redemption.voiding import VoidMisprints, void_misprints
from tests.builders import (
    CALENDAR,
    MANAGER,
    SECRET,
    World,
    a_foreign_list,
    a_workshop,
    a_world,
    an_order,
    done,
    foreign_rows,
    given,
    scanned,
    sequence,
    taken_over,
    typed_in,
)
from tests.conftest import CREUSE, moment

LOG = "pass.creuse.fr/23"
VERIFY = Path(verify.__file__)
# The witness of these tests; its key is nobody's.
WITNESS = Ed25519PrivateKey.from_private_bytes(b"w" * 32)
WITNESS_KEY = public_key("temoin.example", WITNESS, COSIGNATURE)
# What a QR code of a former operator holds.
FOREIGN_QR = "https://ancien.example/q/77-ZZ"
POLICY = f"witness temoin {WITNESS_KEY.vkey}\nquorum temoin\n"


def live(database: Database) -> World:
    """A year: hand-outs, uses, an undo, lost carnets, amendments, a cap, an order cancelled, lapses."""
    start = moment("2020-01-06")
    with database.begin("23") as session:
        done(
            new_log_key(
                session, NewLogKey(new_id(), LOG), secret=SECRET, by="test", now=start
            )
        )
        world = a_world(session, now=start, cap_esf=9_000, esf_until=date(2020, 6, 30))
        second = OpenTranche(
            new_id(), 2, "T2", "tela", "AAP", 300_000, {"FSE": 1, "ETAT": 1, "DEP": 1}, CALENDAR, regularise=True,
            hand_out=HandOutRules(late_days=10),
        )  # fmt: skip
        done(open_tranche(session, second, by="test", now=start))
        serials = an_order(session, world, 8)
        thirds = an_order(session, world, 4, tranche="T2")
        an_order(session, world, 1, specimen=True, delivered=False)
        look = Look("carnet", 1, "11" * 32, ("fse-2014-2020/1",))
        good = ApproveProof(new_id(), 1, "pdf", look, "33" * 32)
        done(approve_proof(session, good, by="test", now=moment("2020-01-08")))
        for last in (4, 8):
            batch = RecordBatch(
                new_id(), 1, last - 3, last, "pdf", "carnet", 1, "11" * 32, ("fse-2014-2020/1",), "22" * 32
            )  # fmt: skip
            done(record_batch(session, batch, by="test", now=moment("2020-01-08")))
    with database.begin("23") as session:
        lost = given(session, *serials[:5], category="jobseeker", need="train")
        given(session, *serials[5:8])
        given(session, *thirds[:5])
        workshop = a_workshop(session)
        scanned(session, world, workshop, *serials[:4], *thirds[:3])
        waiting = scanned(session, world, workshop, thirds[5])
        assert [v.verdict for v in waiting] == ["kept"]
        late = given(
            session,
            *thirds[5:10],
            now=moment("2020-02-04"),
            given_on=date(2020, 1, 31),
        )
        assert late.facts["recorded_late"]
    sequence(database)
    with database.begin("23") as session:
        extended = ExtendConvention(new_id(), "FSE", date(2020, 1, 1), date(2020, 9, 30))
        done(extend_convention(session, extended, by="test", now=moment("2020-02-05")))
        other = ChangeShares(
            new_id(), "T1", {"FSE": 50, "ETAT": 25, "DEP": 25}, date(2020, 3, 1)
        )
        done(change_shares(session, other, by="test", now=moment("2020-02-05")))
        done(undo(session, Undo(new_id(), serials[1], "wrong_pass"), device=MANAGER, now=moment("2020-02-05")))  # fmt: skip
        pause = SuspendProgramme(
            new_id(), "tela", date(2020, 3, 16), date(2020, 6, 1), "health_crisis"
        )
        done(suspend_programme(session, pause, by="test", now=moment("2020-03-16")))
        later = AmendCalendar(new_id(), "T1", CALENDAR)
        done(amend_calendar(session, later, by="test", now=moment("2020-03-16")))
        spring = a_workshop(session, "2020-06-10", "lieu-2")
        scanned(
            session,
            world,
            spring,
            serials[1],
            *serials[5:7],
            *thirds[6:8],
            now=moment("2020-06-10", 15),
        )
        autumn = a_workshop(session, "2020-11-05", "lieu-2")
        scanned(session, world, autumn, thirds[8], now=moment("2020-11-06"))
        done(
            block_carnet(
                session,
                BlockCarnet(new_id(), 2, "lost"),
                by="test",
                now=moment("2020-11-07"),
            )
        )
        done(
            block_carnet(
                session,
                BlockCarnet(new_id(), 3, "stolen"),
                by="test",
                now=moment("2020-11-07"),
            )
        )
    with database.begin("23") as session:
        last = lost.act
        for _ in range(2):  # and what was new is lost as well
            again = ReplaceHandOut(new_id(), last, "CAF")
            last = again.id
            done(
                replace_hand_out(
                    session,
                    again,
                    signer=world.signer,
                    by="desk-CAF",
                    now=moment("2020-11-09"),
                )
            )
        paper = SignedPaper("77" * 32, 1_234)
        signed = FileAttestation(
            new_id(), "CAF", date(2020, 1, 1), date(2020, 1, 31), paper
        )
        told = file_attestation(session, signed, by="test", now=moment("2020-11-09"))
        assert done(told).facts["hand_outs"] == 4
        _travel(session)
        drawer = BlockStock(new_id(), 8, 8, "lost")
        done(block_stock(session, drawer, by="test", now=moment("2020-11-09")))
    with database.begin("23") as session:
        rows = [*foreign_rows(2, 2), f"C-9;ZZ 77 K;10;2020-11-30;{FOREIGN_QR}"]
        late = moment("2020-11-10")
        told = done(taken_over(session, world, a_foreign_list(*rows), now=late))
        assert told.facts["orders"] == [6, 7]
        done(given(session, "23-000017-1", "23-000017-2", now=late))
        done(given(session, "23-000016-1", now=late))
        used = typed_in(session, world, autumn, "88100001", FOREIGN_QR, now=late)
        assert [v.verdict for v in used] == ["accepted"] * 2
        wanted = PlaceOrder(new_id(), "T2", 2)
        done(place_order(session, wanted, signer=world.signer, by="test", now=late))
        done(cancel_order(session, CancelOrder(new_id(), 8), by="test", now=late))
        _withdraw(session, late)
    return world


def _withdraw(session: Session, now: Moment) -> None:
    """A site is suspended, accredited again for the year after, then leaves before that."""
    pause = EndAccreditation(new_id(), "lieu-2", "tela", date(2020, 12, 31))
    done(end_accreditation(session, pause, by="test", now=now))
    again = Accredit(new_id(), "lieu-2", "tela", date(2021, 1, 1))
    done(accredit(session, again, by="test", now=now))
    leaves = EndAccreditation(new_id(), "lieu-2", "tela", date(2020, 11, 30), "withdrawn")
    done(end_accreditation(session, leaves, by="test", now=now))


def _travel(session: Session) -> None:
    """Carnets of the first order go to another desk, to the store, and come back in part; one is a misprint."""
    at = moment("2020-11-09")
    desk = OpenDesk(new_id(), "MSA", "MSA du Limousin", "Accueil", ("tela",))
    done(open_desk(session, desk, by="test", now=at))
    for source, target, carnets, where, arrived in (
        ("CAF", "MSA", ((4, 6),), "MSA", ((4, 5),)),
        ("MSA", None, ((4, 4),), None, ((4, 4),)),
    ):
        sending = Send(new_id(), source, target, carnets)
        sent = done(send(session, sending, by="test", now=at))
        got = Receive(new_id(), sent.facts["transfer"], where, arrived)
        done(receive(session, got, by="test", now=at))
    found = Receive(new_id(), 1, "CAF", ((6, 6),))
    done(receive(session, found, by="test", now=at))
    misprint = VoidMisprints(new_id(), 7, 7)
    done(void_misprints(session, misprint, by="test", now=at))
    for _ in range(2):
        seen = Count(new_id(), "CAF", ((6, 6), (99, 99)))
        done(count_stock(session, seen, by="test", now=at))
    done(count_stock(session, Count(new_id(), None, ()), by="test", now=at))


def close(database: Database) -> None:
    """What nobody used lapses."""
    with database.begin("23") as session:
        for order in range(1, 8):
            for stage in ("stock", "circulating"):
                done(
                    lapse(
                        session,
                        Lapse(new_id(), order, stage),
                        by="test",
                        now=moment("2021-02-08"),
                    )
                )


def published(database: Database, at: Moment) -> None:
    """Everything in the log, and a checkpoint signed."""
    sequence(database, now=at)
    with database.begin("23", "sequencer") as session:
        publish(session, log_signers(session, SECRET), shown=None, at=at.at)


def witnessed(database: Database, at: Moment) -> None:
    """The policy asks for a witness, the next checkpoint has its cosignature."""
    with database.begin("23") as session:
        done(set_policy(session, SetPolicy(new_id(), POLICY), by="test", now=at))
    published(database, at)
    with database.begin("23", "sequencer") as session:
        found = newest(session)
        assert found is not None
        text = read(found.note).text
        line = cosign(text, WITNESS_KEY.name, WITNESS, seconds=int(at.at.timestamp()))
        keep_cosignatures(session, found.size, [line])


def exported(
    database: Database, target: Path, *, call: str | None = None, site: str | None = None
) -> Path:
    """A coffre of what is published."""
    with database.begin("23", read_only=True) as session:
        scope = of_call(session, call) if call else of_site(session, site) if site else None
        exporting.export(session, CREUSE, target, seal=newest_seal(session), scope=scope)
    return target


@dataclass(frozen=True)
class Told:
    """What verify.py said."""

    code: int
    out: str
    err: str


def alone(coffre: Path, *options: object, python: str = sys.executable) -> Told:
    """Run verify.py as an auditor would: an interpreter alone, without its packages."""
    ended = subprocess.run(
        [python, "-I", "-S", str(VERIFY), str(coffre), *map(str, options)],
        capture_output=True, text=True, check=False, encoding="utf-8",
        env={"PATH": os.environ["PATH"], "PYTHONUTF8": "1"},
    )  # fmt: skip
    return Told(ended.returncode, ended.stdout, ended.stderr)


def verified(coffre: Path, *options: object) -> Told:
    """Run verify.py here, which is faster; it leaves nothing behind and writes nothing."""
    before = sorted(coffre.parent.iterdir())
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = verify.main([str(coffre), *map(str, options)])
    assert sorted(coffre.parent.iterdir()) == before
    return Told(code, " ".join(out.getvalue().split()), " ".join(err.getvalue().split()))


def contents(coffre: Path) -> dict[str, bytes]:
    """Return the files of a coffre."""
    with zipfile.ZipFile(coffre) as packed:
        return {info.filename: packed.read(info) for info in packed.infolist()}


def packed(target: Path, files: dict[str, bytes]) -> Path:
    """Write a zip of these files, whatever they are."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as writing:
        for name, data in files.items():
            writing.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return target


def sealed(files: dict[str, bytes], **manifest: Any) -> dict[str, bytes]:
    """Return the files with a manifest that agrees with them."""
    told = json.loads(files["manifest.json"]) | manifest
    outside = {"manifest.json", "manifest.sha256"}
    told["files"] = {
        name: {"bytes": len(data), "sha256": sha256(data).hexdigest()}
        for name, data in files.items()
        if name not in outside
    }
    raw = verify.canonical(told)
    seal = f"{sha256(raw).hexdigest()}  manifest.json\n".encode()
    return files | {"manifest.json": raw, "manifest.sha256": seal}


def forged(
    files: dict[str, bytes], lines: list[bytes], key: Ed25519PrivateKey
) -> dict[str, bytes]:
    """Return a coffre whose journal is this, rebuilt and signed by the log's own key: only rules are left."""
    leaves = [sha256(b"\x00" + line).digest() for line in lines]
    kept = {name: data for name, data in files.items() if not name.startswith("tile/")}
    for n in range(0, len(leaves), 256):
        part = leaves[n : n + 256]
        kept[verify.tile_path(0, n // 256, len(part))] = b"".join(part)
    assert len(leaves) < 256  # one tile
    root = verify.fold(leaves)
    text = Checkpoint(LOG, len(lines), root).text
    kept["checkpoint.txt"] = str(Note(text, (sign(text, LOG, key),))).encode()
    kept["journal.jsonl"] = b"".join(line + b"\n" for line in lines)
    return sealed(kept, size=len(lines), root=root.hex(), entries=len(lines))
