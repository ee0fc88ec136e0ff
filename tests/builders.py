"""The Creuse in a few calls of the real operations."""

from dataclasses import dataclass, field
from datetime import date
from uuid import UUID
from weakref import WeakKeyDictionary

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.database import Database
from app.printing import templates
from app.printing.publicity import needed
from funding import operations as funds
from funding.allocation import Funder
from funding.attribution import project
from funding.queries import payers
from funding.tranches import Calendar, OpenTranche
from issuance.desks import Deliver, OpenDesk, deliver, open_desk
from issuance.hand_outs import HandOut
from issuance.keys import Keyring, NewKeys, Signer, keyring, new_keys, signer
from issuance.making import make_piece, pieces
from issuance.orders import (
    ActivateOrder,
    PlaceOrder,
    activate_order,
    order_row,
    place_order,
)
from issuance.paper import printed_passes
from issuance.printed import PrintedPass
from issuance.proofs import ApproveProof, Look, Paper, approve_proof
from issuance.taking_over import TakeOver, take_over
from ledger import sequencer
from ledger.attempts import Answer
from ledger.identifiers import new_id
from ledger.moments import Moment
from ledger.sealing import Sealer
from redemption.counter import Device, Presented, Scan, Verdict, redeem
from redemption.facts import Standing
from redemption.foreign_csv import read_foreign_list
from redemption.hand_out import hand_out
from redemption.mednum import clean
from redemption.sites import Accredit, accredit, open_tranche, save_site
from redemption.workshops import OpenWorkshop, open_workshop
from tests.conftest import CREUSE, moment

SECRET = b"a secret of the tests only"
MASTER_KEY = b"a master key of the tests only.."
SEALER = Sealer([MASTER_KEY])
MANAGER = Device("manager", None)
SIRETS = ("99900001100018", "99900002900010", "35600000000048")
CALENDAR = Calendar(
    hand_out_stop=date(2020, 12, 15),
    use_by=date(2020, 12, 31),
    tolerance_until=date(2021, 1, 31),
    present_by=date(2021, 2, 7),
    pay_by=date(2021, 6, 30),
    report_by=date(2021, 6, 30),
)


def done(answer: Answer) -> Answer:
    assert answer.accepted, answer
    return answer


@dataclass
class World:
    """What a test needs to go on: the ring and the passes made, by serial."""

    signer: Signer
    ring: Keyring
    passes: dict[str, PrintedPass] = field(default_factory=dict)
    host: str = CREUSE.host

    def token(self, serial: str) -> str:
        return self.passes[serial].url


def a_site(session: Session, number: int, now: Moment, siret: str = SIRETS[0]) -> str:
    row = {
        "id": f"lieu-{number}", "pivot": siret, "nom": f"Médiathèque {number}", "commune": "Guéret",
        "code_postal": "23000", "code_insee": "23096", "adresse": "1 place du Marché", "date_maj": "2020-01-01",
    }  # fmt: skip
    cleaned = clean(row, imported_on=now.day)
    assert cleaned.site is not None, cleaned
    save_site(session, cleaned.site, dated=True, by="test", now=now)
    return cleaned.site.id


def a_world(
    session: Session,
    *,
    now: Moment | None = None,
    shares: dict[str, int] | None = None,
    envelope_cents: int = 1_000_000,
    cap_esf: int | None = None,
    esf_until: date = date(2021, 6, 30),
    **tranche,
) -> World:
    """A call, three funders, a programme, a tranche T1, keys, two accredited sites, one desk."""
    now = now or moment("2020-01-06")
    new_keys(session, NewKeys(new_id()), secret=SECRET, by="test", now=now)
    done(
        funds.open_call(
            session, funds.OpenCall(new_id(), "AAP", "Appel à projets"), by="test", now=now
        )
    )
    for code, funder, cap, until in [
        ("FSE", Funder.EU_ESF, cap_esf, esf_until),
        ("ETAT", Funder.STATE, None, date(2021, 6, 30)),
        ("DEP", Funder.DEPARTMENT, None, date(2021, 6, 30)),
    ]:
        request = funds.SignConvention(
            new_id(), code, "AAP", funder, code, date(2020, 1, 1), until, cap_cents=cap
        )
        done(funds.sign_convention(session, request, by="test", now=now))
    done(
        funds.start_programme(
            session, funds.StartProgramme(new_id(), "tela", "Tela"), by="test", now=now
        )
    )
    done(
        open_tranche(
            session,
            OpenTranche(
                new_id(), 1, "T1", "tela", "AAP", envelope_cents,
                shares or {"FSE": 60, "ETAT": 20, "DEP": 20}, **({"calendar": CALENDAR} | tranche),
            ),
            by="test",
            now=now,
        )
    )  # fmt: skip
    for number, siret in enumerate(SIRETS[:2], 1):
        key = a_site(session, number, now, siret)
        done(
            accredit(
                session,
                Accredit(new_id(), key, "tela", date(2020, 1, 1)),
                by="test",
                now=now,
            )
        )
    desk = OpenDesk(new_id(), "CAF", "CAF de la Creuse", "Accueil", ("tela",))
    done(open_desk(session, desk, by="test", now=now))
    return World(signer(session, "23", SECRET), keyring(session, "23", SECRET))


def an_order(
    session: Session, world: World, carnets: int = 4, *, now: Moment | None = None,
    tranche: str = "T1", active: bool = True, delivered: bool = True, specimen: bool = False,
) -> list[str]:  # fmt: skip
    """An order made, active, delivered to the desk; returns its serials."""
    now = now or moment("2020-01-07")
    placed = done(
        place_order(
            session,
            PlaceOrder(new_id(), tranche, carnets, specimen),
            signer=world.signer,
            by="test",
            now=now,
        )
    )
    order = order_row(session, placed.facts["order"])
    for piece in range(pieces(order)):
        done(make_piece(session, order, piece, signer=world.signer, by="test", now=now))
    if active:
        done(
            activate_order(
                session,
                ActivateOrder(new_id(), order.number, "ENG-2020-1"),
                by="test",
                now=now,
            )
        )
    last = order.first_carnet + order.carnets - 1
    if delivered:
        done(
            deliver(
                session,
                Deliver(new_id(), "CAF", order.first_carnet, last),
                by="test",
                now=now,
            )
        )
    made = list(printed_passes(order, world.signer, world.host))
    world.passes |= {str(p.serial): p for p in made}
    return [str(p.serial) for p in made]


def approved(session: Session, order: int, kind: Paper = "pdf", **look) -> Answer:
    """The proof of an order, approved; as our own sheets look unless told."""
    template = templates.own(kind)
    with_blocks = tuple(
        b.named for b in needed(payers(session, order_row(session, order).tranche))
    )
    told = {
        "template": template.name, "template_version": template.version,
        "template_sha256": template.sha256, "publicity": with_blocks,
    }  # fmt: skip
    request = ApproveProof(new_id(), order, kind, Look(**(told | look)), "33" * 32)
    return approve_proof(session, request, by="test", now=moment("2020-01-07"))


def given(session: Session, *serials: str, now: Moment | None = None, **facts) -> Answer:
    """Passes handed out by the desk."""
    request = HandOut(
        new_id(), "CAF", **({"pic": True, "proof": "attested", "serials": serials} | facts)
    )
    return hand_out(
        session, request, by="desk-CAF", now=now or moment("2020-01-20"), sealer=SEALER
    )


def a_workshop(
    session: Session,
    day: str = "2020-02-03",
    site: str = "lieu-1",
    now: Moment | None = None,
) -> UUID:
    request = OpenWorkshop(new_id(), site, date.fromisoformat(day))
    return done(open_workshop(session, request, device=MANAGER, now=now or moment(day))).act


def scan_of(token: str, workshop: UUID, at: Moment) -> Scan:
    return Scan(new_id(), token, workshop, at.at)


def scanned(
    session: Session, world: World, workshop: UUID, *serials: str, now: Moment | None = None
) -> list[Verdict]:
    """Passes scanned in one queue, at a counter that remembers what it can for the whole test."""
    at = now or moment("2020-02-03", 14)
    queue = [Presented(scan_of(world.token(s), workshop, at), MANAGER) for s in serials]
    standing = _STANDING.setdefault(session.connection().engine, Standing())
    return redeem(session, queue, now=at, keyring=world.ring, standing=standing)


_STANDING: WeakKeyDictionary[Engine, Standing] = WeakKeyDictionary()


def sequence(database: Database, code: str = "23", now: Moment | None = None) -> None:
    """Everything that waits gets its place in the log."""
    while True:
        with database.begin(code, "sequencer") as session:
            at = (now or moment("2020-02-04")).at
            if not sequencer.step(session, at=at, project=[project]):
                return


def a_foreign_list(*rows: str) -> bytes:
    """A list of a former operator's carnets: a header line, and these rows."""
    return "\n".join(["carnet;numero;valeur;fin;qr", *rows, ""]).encode()


def foreign_rows(carnets: int = 3, size: int = 2, fin: str = "2020-12-31") -> list[str]:
    """The rows of carnets C-001 and on, whose passes are numbered 88100001 and on."""
    return [
        f"C-{n:03d};{88_100_000 + (n - 1) * size + rank};10,00;{fin};"
        for n in range(1, carnets + 1)
        for rank in range(1, size + 1)
    ]


def taken_over(
    session: Session,
    world: World,
    data: bytes = b"",
    *,
    act: UUID | None = None,
    now: Moment | None = None,
    delivered: bool = True,
    **asked,
) -> Answer:
    """Carnets of a former operator honoured by T1, and brought to the desk; the ring knows them."""
    now = now or moment("2020-01-08")
    told = {"tranche": "T1", "operator": "aptic", "commitment_number": "ENG-2020-9"}
    listed = read_foreign_list(data or a_foreign_list(*foreign_rows()))
    request = TakeOver(act or new_id(), **(told | asked), listed=listed)
    answer = take_over(session, request, signer=world.signer, by="test", now=now)
    world.ring = keyring(session, "23", SECRET)
    if answer.accepted and delivered and not answer.replayed:
        first, last = answer.facts["orders"]
        for number in range(first, last + 1):
            order = order_row(session, number)
            end = order.first_carnet + order.carnets - 1
            lot = Deliver(new_id(), "CAF", order.first_carnet, end)
            done(deliver(session, lot, by="test", now=now))
    return answer


def typed_in(
    session: Session, world: World, workshop: UUID, *texts: str, now: Moment | None = None
) -> list[Verdict]:
    """Texts typed or scanned, in one queue."""
    at = now or moment("2020-02-03", 14)
    queue = [Presented(scan_of(text, workshop, at), MANAGER) for text in texts]
    return redeem(session, queue, now=at, keyring=world.ring)
