"""The demonstration, served by the real program; and whoever and whatever the tests need in it."""

import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pyotp
from playwright.sync_api import Browser, BrowserContext
from sqlalchemy import select, update

from app.demo import demonstration
from app.demo.creuse import CODE
from app.instance import Instance
from app.messages import LANGUAGES, messages
from app.people.memberships import Invite, end_membership, invite, new_invitation
from app.people.models import membership, person
from app.people.roles import Role
from app.people.second_factor import begin_totp, check_totp, new_recovery_codes
from app.people.signing_in import hashed, set_password
from app.registry import Departement
from app.works.doing import Worker
from app.works.kinds import KINDS
from app.works.models import work
from app.works.order_making import ask_making
from funding.hand_out_rules import HandOutRules
from funding.models import tranche
from funding.operations import StartProgramme, start_programme
from funding.tranches import Calendar, OpenTranche
from issuance import codes
from issuance.desks import Deliver, deliver
from issuance.hand_outs import HandOut
from issuance.holders import Holder
from issuance.models import delivery, handed_out, voucher, voucher_order
from issuance.orders import PlaceOrder, order_row, place_order
from issuance.serials import Serial
from issuance.transfers import Receive, Send, receive, send
from ledger.identifiers import new_id
from ledger.moments import Moment
from redemption.counter import Device
from redemption.hand_out import hand_out
from redemption.models import site
from redemption.sites import open_tranche
from redemption.workshops import OpenWorkshop, open_workshop
from tests.app.running import PASSNUM, environment
from tests.app.visiting import a_list, an_import
from tests.builders import World, an_order, done
from tests.oidc.running import CLIENT_SECRET, Running, provider

# A département where nothing has happened yet: what a manager sees on the first day.
EMPTY = Departement("19", "Corrèze", "Europe/Paris", "PASS.CORREZE.EXAMPLE")

# Another, where nobody does what is asked for: works stay as they are.
IDLE = Departement("87", "Haute-Vienne", "Europe/Paris", "PASS.HAUTE-VIENNE.EXAMPLE")
SITES = (
    "lieu-a,35600000000048,La Quincaillerie,Guéret,23000,1 rue du Pont,2020-01-01",
    "lieu-b,35600000000048,MEDIATHEQUE  de Felletin,Felletin CEDEX,23500,2 place de la Mairie,01/02/2020",
    "lieu-c,,Tiers-lieu de Crocq,Crocq,23260,3 rue du Four,2020-01-01",
    "lieu-c,,Tiers-lieu de Crocq,Crocq,23260,3 rue du Four,2020-01-01",
    "lieu-d,,Espace public numérique intercommunal de la Haute Marche,Aubusson,2320,4 rue du Moulin,2020-01-01",
    ",,,,,,2020-01-01",
)


# Whoever got all that one person may get of the tranche that counts persons.
SOMEONE = {"surname": "Exemple", "first_name": "Personne", "born_on": "1950-05-01"}


@dataclass
class Served:
    """A server at work over the demonstration, and the same data beside it."""

    origin: str
    instance: Instance
    access: dict[str, Any]
    cookies: dict[str, list[Any]] = field(default_factory=dict)
    stock: dict[str, list[int]] = field(default_factory=dict)
    in_hand: list[str] = field(default_factory=list)
    queue: dict[str, list[int]] = field(default_factory=dict)  # at the CAF, by tranche
    given: int = 0  # a carnet that is empty: all its passes are in someone's hands
    reserved: int = 0  # a carnet of a tranche for some publics only
    shared: int = 0  # a carnet that two people were given passes of, at the CAF
    workshop: str = ""
    workshop_not_accredited: str = ""
    workshop_of_a_desk: str = ""  # at a site of the organisation of the desk CCAS
    recovery: dict[str, str] = field(default_factory=dict)
    works: dict[str, str] = field(default_factory=dict)  # the path of each
    orders: dict[str, str] = field(default_factory=dict)  # the path of each
    folder: Path = Path()

    @cached_property
    def world(self) -> World:
        """What signs the passes here, and the tokens of those that were made meanwhile."""
        return World(self.instance.signer(CODE), self.instance.keyring(CODE))

    @property
    def password(self) -> str:
        """What everyone here signs in with."""
        word: str = self.access["password"]
        return word

    def pass_at(self, name: str) -> str:
        """Return the path behind the QR code of one of the demonstration's passes."""
        url: str = self.access["passes"][name]["url"]
        return "/V/" + url.rpartition("/")[2]

    def carnet(self, desk: str) -> int:
        """Return the number of a carnet that waits at a desk; each is given to one test only."""
        return self.stock[desk].pop(0)

    def next_in_line(self, tranche: str = "FILE") -> int:
        """Return the number of a carnet for the next person in the queue at the CAF."""
        return self.queue[tranche].pop(0)

    def pass_to_use(self) -> str:
        """Return a serial that is in someone's hands; each is given to one test only."""
        return self.in_hand.pop(0)

    def code_of(self, serial: str) -> str:
        """Return what is printed under a pass's QR code."""
        key = self.instance.signer(CODE).code_key
        return codes.display(CODE, codes.derive(key, Serial.parse(serial)))

    def invite(
        self,
        login: str,
        name: str,
        role: Role,
        *,
        desk: str | None = None,
        place: str | None = None,
        departement: str = CODE,
    ) -> UUID:
        """Give someone a role, and the password of all."""
        with self.instance.database.begin(departement) as session:
            now = self.instance.moment(departement)
            number = session.scalar(
                select(site.c.number).where(site.c.national_id == place)
            )
            asked = Invite(new_id(), login, name, role, desk, number)
            told = done(invite(session, asked, inviter=None, by="test", now=now))
            who = UUID(told.facts["person"])
            set_password(session, who, hashed(self.password), now=now)
        return who

    def invited(self, login: str) -> str:
        """Return the code of a new invitation for someone."""
        with self.instance.database.begin(CODE) as session:
            who = session.scalars(select(person.c.id).where(person.c.login == login)).one()
            return new_invitation(session, who, by="test", now=self.instance.moment(CODE))

    def dismiss(self, login: str) -> None:
        """End all the roles of someone, who keeps an account."""
        with self.instance.database.begin(CODE) as session:
            now = self.instance.moment(CODE)
            held = session.scalars(
                select(membership.c.id)
                .join(person, person.c.id == membership.c.person)
                .where(person.c.login == login)
            ).all()
            for which in held:
                done(end_membership(session, which, act=new_id(), by="test", now=now))

    def begin_a_telephone(self, who: UUID) -> str:
        """Draw the secret of a second proof for someone, who has not confirmed it yet."""
        with self.instance.database.begin(CODE) as session:
            return begin_totp(session, who, sealer=self.instance.sealer)

    def give_a_telephone(self, who: UUID) -> list[str]:
        """Confirm a second proof for someone; return the printed codes."""
        typed = pyotp.TOTP(self.begin_a_telephone(who)).now()
        with self.instance.database.begin(CODE) as session:
            now, sealer = self.instance.moment(CODE), self.instance.sealer
            assert check_totp(session, who, typed, sealer=sealer, now=now)
            return new_recovery_codes(session, who)

    def a_file(self, name: str, data: bytes = b"PK\x03\x04") -> str:
        """Write a file, and return its path."""
        path = self.folder.with_name(name)
        path.write_bytes(data)
        return str(path)

    def ask(self, name: str, *rows: str, at: str = CODE, **more: Any) -> UUID:
        """Ask for the import of a list of sites, and note the path of its page."""
        with self.instance.database.begin(at) as session:
            now = self.instance.moment(at)
            which = an_import(session, a_list(*rows), now=now, **more)
        self.works[name] = f"/{at}/travaux/{which}"
        return which

    def order(
        self, name: str, *, carnets: int = 3, specimen: bool = False, made: bool = True
    ) -> UUID:
        """Place an order in the tranche of today, ask for its making if it is to be, and note both paths."""
        which, now, signer = (
            new_id(),
            self.instance.moment(CODE),
            self.instance.signer(CODE),
        )
        with self.instance.database.begin(CODE) as session:
            asked = PlaceOrder(which, "ESSAI", carnets, specimen)
            placed = done(place_order(session, asked, signer=signer, by="test", now=now))
            row = order_row(session, placed.facts["order"])
            if made:
                ask_making(session, which, row, "tela", by="test", now=now)
        self.orders[name] = f"/{CODE}/commandes/{row.number}"
        self.works[f"order-{name}"] = f"/{CODE}/travaux/{which}"
        return which

    def work(self, *, pieces: int = 100) -> None:
        """Do what was asked for in the Creuse, or some pieces of it."""
        worker = Worker(self.instance, KINDS)
        for _ in range(pieces):
            if not worker.step(CODE):
                break
        worker.let_go()

    def open_workshop(self, place: str) -> str:
        """Open a workshop of today, and return the path of its page."""
        with self.instance.database.begin(CODE) as session:
            now = self.instance.moment(CODE)
            asked = OpenWorkshop(new_id(), place, now.day)
            done(open_workshop(session, asked, device=Device("test", None), now=now))
        return f"/{CODE}/ateliers/{asked.id}"

    def sign_in(self, context: BrowserContext, login: str, departement: str = CODE) -> None:
        """Sign someone in, as the form does, without showing it."""
        answer = context.request.post(
            f"{self.origin}/{departement}/connexion",
            form={"login": login, "password": self.password},
            headers={"Origin": self.origin},
            max_redirects=0,
        )
        assert answer.status == 303, (login, answer.text())

    def cookies_of(self, browser: Browser, who: str) -> list[Any]:
        """Return the cookies of someone signed in, once for all: `login`, or `login@département`."""
        if who not in self.cookies:
            login, _at, departement = who.partition("@")
            context = browser.new_context()
            self.sign_in(context, login, departement or CODE)
            self.cookies[who] = context.cookies()
            context.close()
        return self.cookies[who]


@contextmanager
def served(folder: Path) -> Iterator[Served]:
    """Make the demonstration, people it fills more rooms with, and serve it until the tests end."""
    instance = demonstration.prepare(folder, messages("fr"), lambda _said: None)
    for another in (EMPTY, IDLE):
        instance.database.add_departement(another)
    port = _free_port()
    here = Served(f"http://127.0.0.1:{port}", instance, _access(folder), folder=folder)
    _people(here)
    _fill_a_drawer(here)
    _count(here)
    _share(here)
    _works(here)
    _orders(here)
    _send(here)
    command = [
        PASSNUM,
        "serve",
        "--no-jobs",
        "--port",
        str(port),
        "--data-dir",
        str(folder),
    ]
    log = folder.with_name("server.log")
    with (
        log.open("wb") as written,
        provider(
            back=f"{here.origin}/{CODE}/connexion/oidc/retour",
            after=f"{here.origin}/{CODE}/connexion",
        ) as there,
        subprocess.Popen(
            command, env=environment(**_oidc(there)), stdout=subprocess.PIPE, stderr=written
        ) as server,
    ):
        try:
            assert server.stdout is not None
            assert str(port).encode() in server.stdout.readline(), log.read_text()
            transport = httpx.HTTPTransport(retries=5)
            with httpx.Client(transport=transport) as client:
                assert client.get(f"{here.origin}/health").status_code == 200
            yield here
        finally:
            server.terminate()
            server.wait(20)
            instance.close()


def _oidc(there: Running) -> dict[str, str]:
    return {
        "PASSNUM_OIDC_ISSUER": there.issuer,
        "PASSNUM_OIDC_CLIENT_ID": "passnum",
        "PASSNUM_OIDC_CLIENT_SECRET": CLIENT_SECRET,
    }


def _access(folder: Path) -> dict[str, Any]:
    access: dict[str, Any] = json.loads((folder / demonstration.ACCESS).read_bytes())
    return access


def _people(here: Served) -> None:
    """Add to the people of the demonstration those who see something that nobody there sees."""
    for desk in ("CCAS", "UDAF"):
        here.invite(
            "deux-guichets", "Agent de deux guichets", Role.PRESCRIBER_AGENT, desk=desk
        )
    here.invite("espace", "Espace numérique", Role.PRESCRIBER_AGENT, desk="CCAS")
    here.invite("espace", "Espace numérique", Role.MEDIATOR, place="demo-3")
    here.invite("msa", "Accueil de la MSA", Role.PRESCRIBER_AGENT, desk="MSA")
    here.invite("ml", "Conseil de la mission locale", Role.PRESCRIBER_AGENT, desk="ML")
    for place in ("demo-1", "demo-2"):
        here.invite("itinerant", "Médiation itinérante", Role.MEDIATOR, place=place)
    here.invite("benevole", "Bénévole du jeudi", Role.VOLUNTEER, place="demo-3")
    here.invite("responsable", "Responsable d'un lieu", Role.SITE_MANAGER, place="demo-4")
    here.invite("parti", "Ancien agent", Role.AUDITOR)
    here.dismiss("parti")
    here.give_a_telephone(here.invite("double", "Agent en chemin", Role.ACCOUNTANT))
    here.begin_a_telephone(here.invite("hesitant", "Agent qui hésite", Role.ACCOUNTANT))
    for language in LANGUAGES:
        who = here.invite(f"prudent-{language}", "Agent prudent", Role.ACCOUNTANT)
        here.recovery[f"prudent-{language}"] = here.give_a_telephone(who)[0]
        here.begin_a_telephone(
            here.invite(f"presse-{language}", "Agent pressé", Role.ACCOUNTANT)
        )
    here.invite("ailleurs", "Médiation d'un lieu nouveau", Role.MEDIATOR, place="demo-12")
    here.invite("debut", "Gestion de la Corrèze", Role.MANAGER, departement=EMPTY.code)
    here.instance.drain(CODE)
    here.instance.drain(EMPTY.code)


def _fill_a_drawer(here: Served) -> None:
    """Have carnets enough at the CAF for a queue of people, and some of a tranche that counts persons."""
    now, year = here.instance.moment(CODE), timedelta(days=365)
    days = Calendar(*[now.day + year] * 6)
    drawers = {
        "FILE": HandOutRules(pic_share=60),
        "NOMS": HandOutRules(limit_per_person=10),
    }
    with here.instance.database.begin(CODE) as session:
        for number, (code, rules) in enumerate(drawers.items(), 4):
            asked = OpenTranche(
                new_id(), number, code, "tela", "ESSAI", 200_000, {"CD23-ESSAI": 1}, days,
                hand_out=rules,
            )  # fmt: skip
            done(open_tranche(session, asked, by="test", now=now))
            passes = an_order(session, here.world, 40, now=now, tranche=code)
            here.queue[code] = [Serial.parse(first).carnet for first in passes[::5]]
        # The demonstration leaves five carnets to the MSA, whose desk hands out in many tests.
        here.stock["MSA"] = [here.queue["FILE"].pop() for _ in range(12)][::-1]
        lot = Deliver(new_id(), "MSA", here.stock["MSA"][0], here.stock["MSA"][-1])
        done(deliver(session, lot, by="test", now=now))
        holder = msgspec.convert(SOMEONE, Holder)
        for _ in range(2):
            given = HandOut(
                new_id(),
                "CAF",
                True,
                "declared",
                carnet=here.next_in_line("NOMS"),
                holder=holder,
            )
            done(hand_out(session, given, by="test", now=now, sealer=here.instance.sealer))


def _count(here: Served) -> None:
    """Find the carnets that wait at each desk, the passes in people's hands; open two workshops."""
    here.workshop = here.open_workshop("demo-1")
    here.workshop_of_a_desk = here.open_workshop("demo-3")
    here.workshop_not_accredited = here.open_workshop("demo-12")
    with here.instance.database.begin(CODE, read_only=True) as session:
        open_today = (
            select(voucher.c.serial, voucher.c.carnet, delivery.c.desk, handed_out.c.serial)
            .join(voucher_order, voucher_order.c.number == voucher.c.order_number)
            .join(tranche, tranche.c.number == voucher_order.c.tranche)
            .join(delivery, delivery.c.carnet == voucher.c.carnet)
            .outerjoin(handed_out, handed_out.c.serial == voucher.c.serial)
            .where(tranche.c.code == "ESSAI")
            .order_by(voucher.c.serial)
        )
        for serial, number, at, given in session.execute(open_today):
            if given is not None:
                here.in_hand.append(serial)
            elif number not in here.stock.setdefault(at, []):
                here.stock[at].append(number)
        here.reserved = session.scalars(
            select(voucher.c.carnet)
            .join(voucher_order, voucher_order.c.number == voucher.c.order_number)
            .join(tranche, tranche.c.number == voucher_order.c.tranche)
            .outerjoin(handed_out, handed_out.c.serial == voucher.c.serial)
            .where(tranche.c.code == "T1", handed_out.c.serial.is_(None))
            .limit(1)
        ).one()
    here.given = Serial.parse(here.in_hand[0]).carnet
    _hand_out_long_ago(here, "CCAS")
    shown = {chosen["serial"] for chosen in here.access["passes"].values()}
    here.in_hand = [serial for serial in here.in_hand if serial not in shown]


def _share(here: Served) -> None:
    """Give one pass of a carnet to someone, and the rest to someone else."""
    here.shared = here.stock["CAF"].pop()
    first = str(Serial(CODE, here.shared, 1))
    with here.instance.database.begin(CODE) as session:
        now = here.instance.moment(CODE)
        for asked in (
            HandOut(new_id(), "CAF", True, "attested", serials=(first,)),
            HandOut(new_id(), "CAF", True, "attested", carnet=here.shared),
        ):
            done(hand_out(session, asked, by="test", now=now))


def _orders(here: Served) -> None:
    """Place an order for every state that its page shows."""
    here.order("specimen", specimen=True)
    here.order("not_active")
    refused = here.order("refused", specimen=True)
    here.work()
    here.order("unmade", specimen=True, made=False)
    making = here.order("making", specimen=True, carnets=420)
    some_time = here.instance.moment(CODE).at
    with here.instance.database.begin(CODE) as session:
        held = {
            "holder": new_id(),
            "held_until": some_time + timedelta(days=9),
            "done": 200,
        }
        session.execute(update(work).where(work.c.id == making).values(held))
        stopped = {"refused": "keys_locked", "outcome": '{"reason":"no_secret"}'}
        session.execute(update(work).where(work.c.id == refused).values(stopped))


def _send(here: Served) -> None:
    """Send carnets to two desks: one has not signed yet, of the other's one is missing."""
    number = int(here.orders["not_active"].rpartition("/")[2])
    with here.instance.database.begin(CODE) as session:
        now, first = here.instance.moment(CODE), order_row(session, number).first_carnet
        for desk, carnets in (
            ("ML", ((first, first),)),
            ("MSA", ((first + 1, first + 2),)),
        ):
            done(send(session, Send(new_id(), None, desk, carnets), by="test", now=now))
        got = Receive(new_id(), 2, "MSA", ((first + 1, first + 1),))
        done(receive(session, got, by="test", now=now))


def _hand_out_long_ago(here: Served, desk: str) -> None:
    """Hand a carnet out that nobody has used for seven weeks."""
    given = HandOut(new_id(), desk, True, "attested", carnet=here.carnet(desk))
    now = here.instance.moment(CODE)
    then = Moment(now.at - timedelta(weeks=7), now.zone)
    with here.instance.database.begin(CODE) as session:
        sealer = here.instance.sealer
        done(hand_out(session, given, by=f"desk-{desk}", now=then, sealer=sealer))
    here.instance.drain(CODE)


def _works(here: Served) -> None:
    """Ask for works in every state that a page shows."""
    here.ask("finished", *SITES)
    here.ask("good", SITES[0])
    here.ask("refused", *SITES, all_or_nothing=True)
    here.work()
    here.ask("failed", *SITES)
    Worker(here.instance, {}).step(CODE)

    here.invite(
        "attente", "Gestion de la Haute-Vienne", Role.MANAGER, departement=IDLE.code
    )
    here.instance.drain(IDLE.code)
    with here.instance.database.begin(IDLE.code) as session:
        asked = StartProgramme(new_id(), "tela", "Réseau Tela")
        done(start_programme(session, asked, by="test", now=here.instance.moment(CODE)))
    many = [SITES[0].replace("lieu-a", f"lieu-{n}") for n in range(123)]
    running = here.ask("running", *many, at=IDLE.code)
    Worker(here.instance, KINDS).step(IDLE.code)
    waiting = here.ask("waiting", *many, at=IDLE.code)
    late = here.ask("late", *many, at=IDLE.code)
    some_time = here.instance.moment(CODE).at
    with here.instance.database.begin(IDLE.code) as session:
        held = {"holder": new_id(), "held_until": some_time + timedelta(days=9)}
        session.execute(update(work).where(work.c.id.in_([running, waiting])).values(held))
        before = {"asked_at": some_time - timedelta(hours=1)}
        session.execute(update(work).where(work.c.id == late).values(before))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
