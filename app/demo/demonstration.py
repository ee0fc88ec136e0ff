"""Preparing the demonstration once, and telling a visitor what is there."""

import json
import secrets
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any
from uuid import UUID

from app.audit import audit_departement
from app.demo.creuse import CODE, Story, play
from app.devices import Scope, new_device
from app.instance import Instance
from app.messages import Messages
from app.people import short_codes
from app.people.memberships import Invite, invite
from app.people.roles import Role
from app.people.signing_in import hashed, set_password
from app.proofs.publisher import Publisher
from app.reconciliations import as_text
from app.registry import Departement
from app.settings import read_settings
from ledger.identifiers import new_id
from ledger.refusal import Refusal
from ledger.sealing import key_text, new_key
from redemption.reconciliation import reconcile
from redemption.sites import site_row

CREUSE = Departement(CODE, "Creuse", "Europe/Paris", "PASS.CREUSE.EXAMPLE")
ACCESS = "demo.json"

Say = Callable[[str], Any]


@dataclass(eq=False)
class NotADemonstration(Refusal):
    """The folder holds something else: it is left alone."""

    code = "not_a_demonstration"

    folder: str


def prepare(folder: Path, messages: Messages, say: Say) -> Instance:
    """Make the demonstration in this folder unless it is there; all of it, or nothing.

    It is built beside, and moved into place when it is complete, so that an interruption
    leaves nothing half made.
    """
    if folder.exists() and any(folder.iterdir()):
        if not (folder / ACCESS).exists():
            raise NotADemonstration(str(folder))
        return Instance(read_settings({}, data_dir=folder))
    say(messages.text("Préparation de la démonstration : la Creuse, 2020 et 2021…"))
    beside = folder.with_name(f"{folder.name}.building")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        with _no_interruption_lost():
            _build(beside)
        if folder.exists():
            folder.rmdir()
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return Instance(read_settings({}, data_dir=folder))


@contextmanager
def _no_interruption_lost() -> Iterator[None]:
    """Interrupt at the end at the latest: Python drops what is raised while it collects garbage."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    seen: list[int] = []

    def interrupt(sign: int, _frame: FrameType | None) -> None:
        seen.append(sign)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if seen:
        raise KeyboardInterrupt


def _build(folder: Path) -> None:
    secret = secrets.token_urlsafe(24).encode()
    _write_secret(folder / "demo.key", secret)
    _write_secret(folder / "demo.vault", key_text(new_key()).encode())
    instance = Instance(read_settings({}, data_dir=folder))
    try:
        instance.database.add_departement(CREUSE)
        story = play(instance, secret)
        access = _access(instance, story)
        instance.drain(CODE)
        publisher = Publisher(instance, CODE)
        try:
            publisher.publish()
        finally:
            publisher.close()
        _write_secret(folder / ACCESS, json.dumps(access).encode())
    finally:
        instance.close()


def _access(instance: Instance, story: Story) -> dict[str, Any]:
    """Make the devices a visitor signs in with, and choose the passes worth looking at."""
    tokens = {}
    wanted: tuple[tuple[Scope, str | None], ...] = (
        ("site", "demo-1"),
        ("desk", "CAF"),
        ("departement", None),
    )
    with instance.database.begin(CODE) as session:
        now = instance.moment(CODE)
        for scope, at in wanted:
            _identifier, tokens[scope] = new_device(
                session, CODE, scope=scope, at=at, label="demo", now=now
            )
    password = _people(instance)
    good = story.carnets["ESSAI/CAF"]
    spent = {serial for held in story.held["T1"] for serial in held}
    used = next(s for s in story.urls if s.startswith("23-000001-") and s not in spent)
    lapsed = next(held[0] for held in story.held["T1"] if held)
    chosen = {"good": good[0][0], "also_good": good[1][0], "used": used, "lapsed": lapsed}
    return {
        "tokens": tokens,
        "password": password,
        "passes": {name: {"serial": s, "url": story.urls[s]} for name, s in chosen.items()},
        "carnet_in_stock": int(good[2][0].split("-")[1]),
    }


# Nobody here is a real person: each is called by what they do.
PEOPLE = (
    ("gestion", "Gestion du département", Role.MANAGER, None, None),
    ("compta", "Comptabilité du département", Role.ACCOUNTANT, None, None),
    ("signature", "Signature du département", Role.OFFICER, None, None),
    ("guichet", "Guichet de la CAF", Role.PRESCRIBER_AGENT, "CAF", None),
    ("atelier", "Médiation numérique", Role.MEDIATOR, None, "demo-1"),
    ("audit", "Audit, en visite", Role.AUDITOR, None, None),
)


def _people(instance: Instance) -> str:
    """Make one person a role, all with one password, and return it."""
    password = short_codes.grouped(short_codes.draw()).lower()
    kept = hashed(password)
    with instance.database.begin(CODE) as session:
        now = instance.moment(CODE)
        for login, name, role, at_desk, at_site in PEOPLE:
            place = site_row(session, at_site)[0] if at_site is not None else None
            asked = Invite(new_id(), login, name, role, at_desk, place)
            answer = invite(session, asked, inviter=None, by="demo", now=now)
            set_password(session, UUID(answer.facts["person"]), kept, now=now)
    instance.drain(CODE)
    return password


def _write_secret(path: Path, data: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(data)


def tell(instance: Instance, messages: Messages, say: Say, address: str) -> None:
    """Print the reconciliation and the audit, then the addresses and sign-ins; raises if it differs."""
    with instance.database.begin(CODE, read_only=True) as session:
        found = reconcile(session, now=instance.moment(CODE))
        findings = [f for _name, check in audit_departement(session) for f in check]
    if findings:
        raise AuditDiffers(tuple(sorted({finding.code for finding in findings})))
    say(as_text(found, None, messages))
    say("")
    say(
        messages.text("Audit : tout a été recalculé depuis les écritures, rien ne diffère.")
    )
    folder = instance.settings.data_dir or Path()
    access = json.loads((folder / ACCESS).read_bytes())
    _tell_access(access, messages, say, address)


@dataclass(eq=False)
class AuditDiffers(Refusal):
    """Deriving everything again from the entries gives something else."""

    code = "audit_differs"

    findings: tuple[str, ...]


def _tell_access(
    access: dict[str, Any], messages: Messages, say: Say, address: str
) -> None:
    say("")
    say(messages.text("À regarder dans un navigateur :"))
    say(f"  {address}/")
    titles = {
        "good": messages.text("un pass valable"),
        "used": messages.text("un pass déjà utilisé"),
        "lapsed": messages.text("un pass périmé"),
    }
    for name, title in titles.items():
        digits = access["passes"][name]["url"].rpartition("/")[2]
        say(f"  {title} :\n    {address}/V/{digits}")
    say(messages.text("Pour se connecter, un mot de passe pour tous :"))
    say(f"  {address}/{CODE}/connexion")
    say("  " + ", ".join(login for login, *_rest in PEOPLE))
    say(f"  {access['password']}")
    say(
        messages.text("Le journal prouvé, signé toutes les dix secondes quand il grandit :")
    )
    say(f"  {address}/{CODE}/checkpoint")
    say(messages.text("Jetons d'accès à l'API (en-tête « Authorization: Bearer … ») :"))
    for scope, title in (
        ("site", messages.text("le lieu demo-1, qui scanne")),
        ("desk", messages.text("le guichet CAF, qui remet")),
        ("departement", messages.text("le département, qui lit les rapprochements")),
    ):
        say(f"  {title} :\n    {access['tokens'][scope]}")
    say(f"  {address}/api/v1/openapi.json")
