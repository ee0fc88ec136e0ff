"""A seeded year and a half in the Creuse, played through the real operations.

Two programmes over the same desks and places.  Tela's tranche is co-funded 60 % ESF, 20 % State,
20 % département, as the press told; the split of Aliso's is not known, so it is data of ours.
About 126 people in the first months, a suspension in spring 2020, an extension from December
2020 to June 2021, a lost carnet, an undone scan, a pass scanned twice, passes never used.  A
third, small tranche is open today, so that a visitor can try, and honours three carnets of an
operator that closed.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from random import Random
from uuid import UUID

from sqlalchemy.orm import Session

from app.instance import Instance
from app.printing import templates
from app.printing.content import Logos
from app.printing.printing import Asked
from app.printing.proof import approval, prepare_proof, proof_pdf
from funding import operations as funds
from funding.allocation import Funder
from funding.hand_out_rules import HandOutRules
from funding.tranches import AmendCalendar, Calendar, OpenTranche, amend_calendar
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
from issuance.proofs import approve_proof
from issuance.taking_over import TakeOver, take_over
from ledger.attempts import Answer
from ledger.log_keys import NewLogKey, new_log_key
from ledger.moments import Moment
from redemption.blocking import BlockCarnet, block_carnet
from redemption.counter import Device, Presented, Scan, redeem
from redemption.foreign_csv import read_foreign_list
from redemption.hand_out import hand_out
from redemption.import_sites import import_sites
from redemption.lapsing import Lapse, due_lapses, lapse
from redemption.sites import Accredit, accredit, open_tranche
from redemption.undoing import Undo, undo
from redemption.workshops import Kind, OpenWorkshop, open_workshop

CODE = "23"
BY = "demo"
MANAGER = Device("demo", None)
PLACES = [f"demo-{n}" for n in range(1, 12)]
DESKS = {
    "CAF": "Caisse d'allocations familiales",
    "MSA": "Mutualité sociale agricole",
    "CCAS": "Centre communal d'action sociale",
    "UDAF": "Union des associations familiales",
    "ML": "Mission locale",
}
OF_A_PLACE = ("99900003700013", "23176")
PUBLICS = {
    "T1": ("jobseeker", "young", "rsa", "aah"),
    "T2": ("senior", "home_help", "family_quotient"),
}
YEAR = Calendar(
    date(2020, 12, 15),
    date(2020, 12, 31),
    date(2021, 1, 31),
    date(2021, 2, 7),
    date(2021, 6, 30),
    date(2021, 6, 30),
)
EXTENDED = Calendar(
    date(2021, 6, 15),
    date(2021, 6, 30),
    date(2021, 6, 30),
    date(2021, 7, 15),
    date(2021, 12, 31),
    date(2021, 12, 31),
)
SUSPENDED = (date(2020, 3, 16), date(2020, 6, 1))


class DemonstrationBrokenError(Exception):
    """A step of the demonstration was refused: a bug, ours."""


@dataclass
class Story:
    """What the demonstration remembers while it is played."""

    instance: Instance
    random: Random = field(default_factory=lambda: Random(23))  # noqa: S311 - a seeded story
    ids: int = 0
    urls: dict[str, str] = field(default_factory=dict)
    carnets: dict[str, list[list[str]]] = field(default_factory=lambda: defaultdict(list))
    held: dict[str, list[list[str]]] = field(default_factory=lambda: defaultdict(list))
    ring: Keyring | None = None

    def id(self) -> UUID:
        """Return the next act's id: the same story gives the same ids."""
        self.ids += 1
        return UUID(int=(0x01700000 << 96) | (0x7 << 76) | (0b10 << 62) | self.ids)

    def at(self, day: date, hour: int = 10) -> Moment:
        """Return a moment of a day in the Creuse."""
        zone = self.instance.departement(CODE).zone
        return Moment(datetime.combine(day, time(hour), zone).astimezone(UTC), zone)


def play(instance: Instance, secret: bytes) -> Story:
    """Play the whole story on an empty département."""
    story = Story(instance)
    with instance.database.begin(CODE) as session:
        _found(story, session, secret)
    with instance.database.begin(CODE) as session:
        signing = signer(session, CODE, secret)
        story.ring = keyring(session, CODE, secret)
        _order(story, session, signing, "T1", 300, date(2020, 1, 6))
        _order(story, session, signing, "T2", 150, date(2020, 1, 13))
        _order(story, session, signing, "T1", 2, date(2020, 1, 6), specimen=True)
    instance.drain(CODE)
    _live(story)
    _close(story)
    _today(story, signing)
    instance.drain(CODE)
    return story


def _found(story: Story, session: Session, secret: bytes) -> None:
    now = story.at(date(2019, 12, 2))
    _done(new_keys(session, NewKeys(story.id()), secret=secret, by=BY, now=now))
    log_key = NewLogKey(story.id(), "pass.creuse.fr/23")
    _done(new_log_key(session, log_key, secret=secret, by=BY, now=now))
    for code, name in (("AAP-2019", "Appel à projets Pass numérique 2019"),
                       ("AMI-2019", "Second appel, second semestre 2019")):  # fmt: skip
        _done(
            funds.open_call(session, funds.OpenCall(story.id(), code, name), by=BY, now=now)
        )
    for code, call, funder, name in (
        ("FSE-2019", "AAP-2019", Funder.EU_ESF, "Fonds social européen"),
        ("ETAT-2019", "AAP-2019", Funder.STATE, "État"),
        ("CD23-2019", "AAP-2019", Funder.DEPARTMENT, "Département de la Creuse"),
        ("ETAT-AMI", "AMI-2019", Funder.STATE, "État"),
        ("CD23-AMI", "AMI-2019", Funder.DEPARTMENT, "Département de la Creuse"),
    ):
        convention = funds.SignConvention(
            story.id(), code, call, funder, name, date(2020, 1, 1), date(2021, 1, 31)
        )
        _done(funds.sign_convention(session, convention, by=BY, now=now))
    for code, name in (("tela", "Tela"), ("aliso", "Aliso")):
        programme = funds.StartProgramme(story.id(), code, name)
        _done(funds.start_programme(session, programme, by=BY, now=now))
    lieux = (Path(__file__).parent / "lieux.csv").read_bytes()
    import_sites(session, lieux, all_or_nothing=True, by=BY, now=now)
    for number, code, programme_, call, euros, shares in (
        (
            1,
            "T1",
            "tela",
            "AAP-2019",
            15_000,
            {"FSE-2019": 60, "ETAT-2019": 20, "CD23-2019": 20},
        ),
        (2, "T2", "aliso", "AMI-2019", 7_500, {"ETAT-AMI": 50, "CD23-AMI": 50}),
    ):
        tranche = OpenTranche(
            story.id(), number, code, programme_, call, euros * 100, shares, YEAR, publics=PUBLICS[code],
            hand_out=HandOutRules(pic_share=50 if code == "T1" else None),
        )  # fmt: skip
        _done(open_tranche(session, tranche, by=BY, now=now))
    for programme_ in ("tela", "aliso"):
        for place in PLACES:
            request = Accredit(story.id(), place, programme_, date(2020, 1, 1))
            _done(accredit(session, request, by=BY, now=now))
    for code, name in DESKS.items():
        # One of them is of the organisation of a place, so that there is something to see.
        siret, commune = OF_A_PLACE if code == "CCAS" else (None, None)
        desk = OpenDesk(
            story.id(), code, name, f"Accueil {code}", ("tela", "aliso"), siret, commune
        )
        _done(open_desk(session, desk, by=BY, now=now))


def _order(
    story: Story,
    session: Session,
    signing: Signer,
    tranche: str,
    carnets: int,
    day: date,
    *,
    specimen: bool = False,
) -> None:
    """Order, make, approve the proof, activate and share out carnets among the desks."""
    now = story.at(day)
    host = story.instance.departement(CODE).host
    placed = PlaceOrder(story.id(), tranche, carnets, specimen)
    answer = _done(place_order(session, placed, signer=signing, by=BY, now=now))
    order = order_row(session, answer.facts["order"])
    for piece in range(pieces(order)):
        _done(make_piece(session, order, piece, signer=signing, by=BY, now=now))
    passes = list(printed_passes(order, signing, host))
    story.urls |= {str(p.serial): p.url for p in passes}
    if specimen:
        return
    _approve(story, session, order.number, now)
    active = ActivateOrder(story.id(), order.number, f"ENG-{day.year}-{order.number:04d}")
    _done(activate_order(session, active, by=BY, now=now))
    per_desk = carnets // len(DESKS)
    for n, code in enumerate(DESKS):
        first = order.first_carnet + n * per_desk
        lot = Deliver(story.id(), code, first, first + per_desk - 1)
        _done(deliver(session, lot, by=BY, now=now))
        for number in range(first, first + per_desk):
            start = (number - order.first_carnet) * order.carnet_size
            serials = [str(p.serial) for p in passes[start : start + order.carnet_size]]
            story.carnets[f"{tranche}/{code}"].append(serials)


def _approve(story: Story, session: Session, number: int, now: Moment) -> None:
    """Look at the proof of an order, and find it good."""
    asked = Asked(number, None, None, templates.own("pdf"), Logos({}, {}), None)
    place = story.instance.departement(CODE)
    prepared = prepare_proof(session, asked, place, phone=None, now=now)
    good = approval(prepared, proof_pdf(prepared), which=story.id())
    _done(approve_proof(session, good, by=BY, now=now))


def _live(story: Story) -> None:
    """Play the weeks: hand-outs on Mondays, workshops on Thursdays, and what goes wrong."""
    # T1 reaches 126 people before the suspension; T2 begins later and goes slower.
    plan = {"T1": {date(2020, 1, 13) + timedelta(weeks=w): 14 for w in range(9)}, "T2": {}}
    for week in range(52):
        monday = date(2020, 6, 8) + timedelta(weeks=week)
        if monday > EXTENDED.hand_out_stop:
            break
        plan["T1"][monday] = 3 if week < 40 else 1
        plan["T2"][monday] = 2 if week % 2 == 0 else 1
    day = date(2020, 1, 13)
    while day <= EXTENDED.tolerance_until:
        with story.instance.database.begin(CODE) as session:
            if day == date(2020, 3, 16):
                _suspend(story, session, day, None)
            if day == date(2020, 6, 1):
                _suspend(story, session, day, SUSPENDED[1])
            if day == date(2020, 12, 14):
                _extend(story, session, day)
            for tranche in ("T1", "T2"):
                for _person in range(plan[tranche].get(day, 0)):
                    _give(story, session, tranche, day)
            thursday = day + timedelta(days=3)
            if (
                not SUSPENDED[0] <= thursday <= SUSPENDED[1]
                and thursday <= EXTENDED.tolerance_until
            ):
                _workshops(story, session, thursday)
            if day == date(2020, 9, 7):
                _mishaps(story, session, day)
        day += timedelta(weeks=1)
    story.instance.drain(CODE)


def _suspend(story: Story, session: Session, day: date, until: date | None) -> None:
    for programme in ("tela", "aliso"):
        request = funds.SuspendProgramme(
            story.id(), programme, SUSPENDED[0], until, "health_crisis"
        )
        _done(funds.suspend_programme(session, request, by=BY, now=story.at(day)))


def _extend(story: Story, session: Session, day: date) -> None:
    now = story.at(day)
    for code in ("FSE-2019", "ETAT-2019", "CD23-2019", "ETAT-AMI", "CD23-AMI"):
        request = funds.ExtendConvention(
            story.id(), code, date(2020, 1, 1), date(2021, 6, 30)
        )
        _done(funds.extend_convention(session, request, by=BY, now=now))
    for tranche in ("T1", "T2"):
        amended = AmendCalendar(story.id(), tranche, EXTENDED)
        _done(amend_calendar(session, amended, by=BY, now=now))


def _give(story: Story, session: Session, tranche: str, day: date) -> None:
    """Give a carnet to a person, or, now and then, share one between two people."""
    desk = story.random.choice([d for d in DESKS if story.carnets[f"{tranche}/{d}"]])
    serials = story.carnets[f"{tranche}/{desk}"].pop(0)
    split = story.random.random() < 0.05
    for part in (serials[:2], serials[2:]) if split else (serials,):
        request = HandOut(
            story.id(),
            desk,
            pic=tranche == "T1" and story.random.random() < 0.7,
            proof=story.random.choice(("declared", "attested", "document_seen")),
            serials=tuple(part),
            category=story.random.choice(PUBLICS[tranche]),
            need=story.random.choices(("assist", "train", "boost"), (7, 19, 14))[0],
        )
        _done(
            hand_out(
                session,
                request,
                by=f"desk-{desk}",
                now=story.at(day),
                sealer=story.instance.sealer,
            )
        )
        story.held[tranche].append(part)


def _workshops(story: Story, session: Session, day: date) -> None:
    """Hold a collective workshop at two places and an individual one at a third."""
    for n, place in enumerate(story.random.sample(PLACES, 3)):
        kind: Kind = "individual" if n == 2 else "collective"
        request = OpenWorkshop(story.id(), place, day, kind)
        _done(open_workshop(session, request, device=MANAGER, now=story.at(day)))
        people = 1 if kind == "individual" else story.random.randint(3, 7)
        _scan(story, session, request.id, day, _bring(story, people))


def _bring(story: Story, people: int) -> list[str]:
    """Take a pass from each of some people who still have one; some never come."""
    holders = [held for tranche in ("T1", "T2") for held in story.held[tranche] if held]
    return [held.pop(0) for held in story.random.sample(holders, min(people, len(holders)))]


def _scan(
    story: Story, session: Session, workshop: UUID, day: date, serials: list[str]
) -> list[str]:
    now = story.at(day, 15)
    queue = [
        Presented(Scan(story.id(), story.urls[s], workshop, now.at), MANAGER)
        for s in serials
    ]
    if story.ring is None:
        raise DemonstrationBrokenError("keys")
    return [v.verdict for v in redeem(session, queue, now=now, keyring=story.ring)]


def _mishaps(story: Story, session: Session, day: date) -> None:
    """A carnet is lost, a scan is undone, a pass is scanned twice."""
    now = story.at(day)
    lost = next(held for held in story.held["T1"] if len(held) == 5)
    number = int(lost[0].split("-")[1])
    _done(block_carnet(session, BlockCarnet(story.id(), number, "lost"), by=BY, now=now))
    lost.clear()
    workshop = OpenWorkshop(story.id(), PLACES[0], day)
    _done(open_workshop(session, workshop, device=MANAGER, now=now))
    first, second = [held for held in story.held["T1"] if held][:2]
    wrong, twice = first[0], second.pop(0)
    verdicts = _scan(story, session, workshop.id, day, [wrong, twice, twice])
    if verdicts != ["accepted", "accepted", "already_redeemed"]:
        raise DemonstrationBrokenError(str(verdicts))
    undone = Undo(story.id(), wrong, "wrong_pass")
    _done(undo(session, undone, device=MANAGER, now=story.at(day, 16)))


def _close(story: Story) -> None:
    """Let lapse what nobody used, the day after the presentation date."""
    now = story.at(EXTENDED.present_by + timedelta(days=1), 0)
    with story.instance.database.begin(CODE) as session:
        for due in due_lapses(session, now.day):
            _done(lapse(session, Lapse(story.id(), due.order, due.stage), by=BY, now=now))


def _today(story: Story, signing: Signer) -> None:
    """Open a small tranche now, with carnets already handed out, for a visitor to try."""
    now = story.instance.moment(CODE)
    today, year = now.day, timedelta(days=365)
    days = Calendar(
        today + year, today + year, today + year, today + year, today + year, today + year
    )
    with story.instance.database.begin(CODE) as session:
        call = funds.OpenCall(story.id(), "ESSAI", "Pour essayer")
        _done(funds.open_call(session, call, by=BY, now=now))
        convention = funds.SignConvention(
            story.id(), "CD23-ESSAI", "ESSAI", Funder.DEPARTMENT, "Département de la Creuse",
            today, today + year,
        )  # fmt: skip
        _done(funds.sign_convention(session, convention, by=BY, now=now))
        tranche = OpenTranche(
            story.id(), 3, "ESSAI", "tela", "ESSAI", 150_000, {"CD23-ESSAI": 1}, days
        )
        _done(open_tranche(session, tranche, by=BY, now=now))
        _order(story, session, signing, "ESSAI", 20, today)
        carnets = story.carnets["ESSAI/CAF"]
        for serials in carnets[:2]:
            request = HandOut(story.id(), "CAF", True, "attested", serials=tuple(serials))  # noqa: FBT003 - PIC
            _done(hand_out(session, request, by="desk-CAF", now=now))
        _take_over(story, session, signing)


def _take_over(story: Story, session: Session, signing: Signer) -> None:
    """Honour three carnets that a former operator left in a drawer."""
    now = story.instance.moment(CODE)
    until = now.day + timedelta(days=180)
    lines = [
        f"AP-{carnet:04d};4100 {carnet:04d} {rank:04d};10;{until}"
        for carnet in range(1, 4)
        for rank in range(1, 6)
    ]
    data = "\n".join(["carnet;numero;valeur;fin", *lines]).encode()
    asked = TakeOver(story.id(), "ESSAI", "ancien", "ENG-ANCIEN", read_foreign_list(data))
    told = _done(take_over(session, asked, signer=signing, by=BY, now=now))
    order = order_row(session, told.facts["order"])
    lot = Deliver(story.id(), "ML", order.first_carnet, order.first_carnet + 2)
    _done(deliver(session, lot, by=BY, now=now))


def _done(answer: Answer) -> Answer:
    if not answer.accepted:
        raise DemonstrationBrokenError(f"{answer.code} {answer.facts}")
    return answer
