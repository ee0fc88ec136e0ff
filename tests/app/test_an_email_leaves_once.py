"""An e-mail leaves once: whoever sends it, whatever fails, and never without somebody knowing."""

import os
import signal
import subprocess
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import select, text

from app import jobs
from app.database import FilesPlace
from app.instance import Instance
from app.mail import outbox as rows
from app.mail import sending
from app.mail.invitations import mail_code
from app.mail.models import outbox
from app.mail.outbox import LONGEST_WAIT, UNDER_WAY, State
from app.mail.sending import send_due
from app.people.memberships import Invite, invite, new_invitation
from app.people.roles import Role
from app.people.short_codes import normalised
from app.rotation import rotate
from app.settings import Settings
from ledger.identifiers import new_id
from ledger.sealing import Sealer, key_text, new_key
from tests.app.postbox import SENDER, Postbox, hangs_up, text_of
from tests.app.running import FEBRUARY, PASSNUM, an_instance, typed
from tests.builders import MASTER_KEY, SECRET, a_world, done
from tests.together import together


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.at = FEBRUARY

    def __call__(self) -> datetime:
        return self.at

    def later(self, **of: float) -> None:
        self.at += timedelta(**of)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def box():
    made = Postbox()
    with made.open():
        yield made


@pytest.fixture
def instance(database, tmp_path, clock, box) -> Instance:
    """The Creuse, with an SMTP server."""
    with database.begin("23") as session:
        a_world(session)
    return an_instance(database, tmp_path, clock, mail=box.mailing)


def invited(instance: Instance, login: str = "zoe@caf.example", name: str = "Zoé") -> str:
    """Invite somebody; return the code that an e-mail brings them."""
    now = instance.moment("23")
    with instance.database.begin("23") as session:
        asked = Invite(new_id(), login, name, Role.ACCOUNTANT)
        given = done(invite(session, asked, inviter=None, by="test", now=now))
        who = UUID(given.facts["person"])
        code = new_invitation(session, who, by="test", now=now)
        assert mail_code(session, instance, who, code, now=now)
    return code


def row(instance: Instance):
    [found] = every_row(instance)
    return found


def every_row(instance: Instance):
    with instance.database.begin("23", read_only=True) as session:
        return session.execute(select(outbox).order_by(outbox.c.id)).all()


def state(instance: Instance) -> State:
    with instance.database.begin("23", read_only=True) as session:
        [mail] = rows.listed_all(session)
    return mail.state(instance.moment("23"))


def test_an_invitation_arrives_in_text_and_in_html(instance, box):
    code = invited(instance)

    assert send_due(instance, "23") == {"sent": 1}

    [told] = box.received
    assert box.envelopes == [("pass@creuse.example", ["zoe@caf.example"])]
    assert told["From"] == SENDER
    assert told["To"] == "Zoé <zoe@caf.example>"
    assert told["Subject"] == "Votre accès au Pass numérique (Creuse)"
    assert told["Auto-Submitted"] == "auto-generated"
    assert told["Message-ID"] == f"<{row(instance).id}@creuse.example>"
    assert told["Date"].datetime == FEBRUARY
    assert not [name for name in told if name.lower().startswith("list-")]
    assert told.get_content_type() == "multipart/alternative"
    for kind in ("plain", "html"):
        said = text_of(told, kind)
        assert code in said
        assert "https://pass.creuse.fr/23/invitation" in said
        assert "16 février 2020 inclus" in said
        assert "zoe@caf.example" in said
    html = text_of(told, "html")
    assert 'lang="fr"' in html
    assert "<img" not in html
    assert html.count("http") == 2, "the address, as a link and as a text"
    assert state(instance) is State.SENT


def test_an_email_exists_only_if_its_act_was_committed(instance, box):
    class Undone(Exception):
        """The act fails after its e-mail was queued."""

    now = instance.moment("23")
    with pytest.raises(Undone), instance.database.begin("23") as session:
        asked = Invite(new_id(), "zoe@caf.example", "Zoé", Role.ACCOUNTANT)
        given = done(invite(session, asked, inviter=None, by="test", now=now))
        who = UUID(given.facts["person"])
        assert mail_code(session, instance, who, "0000-0000-0000", now=now)
        raise Undone

    assert send_due(instance, "23") == {}
    assert (every_row(instance), box.told) == ([], [])


def test_a_second_round_sends_nothing_again(instance, box, clock):
    invited(instance)
    assert send_due(instance, "23") == {"sent": 1}
    clock.later(days=10)
    assert send_due(instance, "23") == {}
    assert len(box.received) == 1


def test_senders_at_once_send_each_email_once(instance, box):
    box.lasts = 0.02
    logins = [f"personne-{n}@caf.example" for n in range(12)]
    for login in logins:
        invited(instance, login)

    results = together(4, lambda: send_due(instance, "23"))

    assert sum(result["sent"] for result in results) == 12, results
    assert sum(result["sent"] > 0 for result in results) > 1, "they worked at once"
    assert sorted(to for _from, [to] in box.envelopes) == sorted(logins)
    assert len({told["Message-ID"] for told in box.received}) == 12
    assert {found.attempts for found in every_row(instance)} == {1}


class Killed(BaseException):
    """The process ends here, whatever it was about to do."""


@pytest.mark.parametrize("at", ["conclude_sent", "deliver"])
def test_what_may_have_left_waits_for_a_person(instance, box, clock, monkeypatch, at):
    """A sender dies after its claim: once the server has accepted, or before it is even called."""

    def dies(*_args, **_facts):
        raise Killed

    invited(instance)
    with monkeypatch.context() as patch:
        patch.setattr(rows if at == "conclude_sent" else sending, at, dies)
        with pytest.raises(Killed):
            send_due(instance, "23")
    left = len(box.received)
    assert left == (at == "conclude_sent")

    clock.later(minutes=1)
    assert send_due(instance, "23") == {}
    assert state(instance) is State.UNDER_WAY
    clock.at = FEBRUARY + UNDER_WAY
    assert send_due(instance, "23") == {}
    assert state(instance) is State.UNCERTAIN
    clock.later(days=5)
    assert send_due(instance, "23") == {}
    assert len(box.received) == left

    with instance.database.begin("23") as session:
        rows.retry(session, row(instance).id, now=instance.moment("23"))
    assert send_due(instance, "23") == {"sent": 1}
    assert len({told["Message-ID"] for told in box.received}) == 1


def test_a_sender_that_is_at_it_is_not_disturbed(instance, box, clock, monkeypatch):
    def dies(*_args, **_facts):
        raise Killed

    invited(instance)
    monkeypatch.setattr(sending, "deliver", dies)
    with pytest.raises(Killed):
        send_due(instance, "23")
    clock.later(minutes=14)
    for decide in (rows.retry, rows.drop):
        with (
            pytest.raises(rows.MailUnderWay),
            instance.database.begin("23") as session,
        ):
            decide(session, row(instance).id, now=instance.moment("23"))
        with pytest.raises(rows.MailUnknown), instance.database.begin("23") as session:
            decide(session, new_id(), now=instance.moment("23"))
    clock.later(minutes=1)
    with instance.database.begin("23") as session:
        rows.drop(session, row(instance).id, now=instance.moment("23"))
    assert state(instance) is State.STOPPED
    assert (row(instance).last_error, row(instance).sealed) == ("mail_dropped", None)


def test_a_lost_answer_waits_for_a_person(instance, box, clock):
    box.to_content = hangs_up
    invited(instance)

    assert send_due(instance, "23") == {"uncertain": 1}

    assert len(box.told) == 1
    assert state(instance) is State.UNCERTAIN
    assert row(instance).last_error == "mail_answer_lost"
    clock.later(hours=3)
    assert send_due(instance, "23") == {}
    assert len(box.told) == 1


def test_what_a_late_sender_concludes_after_another_attempt_counts_for_nothing(
    instance, box, clock
):
    """It hung for an hour, a person had the e-mail sent again, and then it came back."""
    invited(instance)
    with instance.database.begin("23") as session:
        late = rows.claim(session, now=instance.moment("23"))
    assert late is not None
    clock.later(hours=1)
    with instance.database.begin("23") as session:
        rows.retry(session, late.id, now=instance.moment("23"))
        again = rows.claim(session, now=instance.moment("23"))
    assert again is not None
    no = sending.MailServerUnreachable()
    with instance.database.begin("23") as session:
        rows.conclude_put_off(session, late, no, now=instance.moment("23"))
    assert state(instance) is State.UNDER_WAY
    with instance.database.begin("23") as session:
        rows.conclude_sent(session, again, now=instance.moment("23"))
        rows.conclude_stopped(session, late, no, now=instance.moment("23"))
    assert state(instance) is State.SENT


def test_a_server_that_is_down_is_tried_again_until_it_is_up(database, tmp_path, clock):
    box = Postbox()
    with box.open():
        pass  # the port is ours, and nobody listens
    with database.begin("23") as session:
        a_world(session)
    instance = an_instance(database, tmp_path, clock, mail=box.mailing)
    for login in ("a@caf.example", "b@caf.example"):
        invited(instance, login)

    assert send_due(instance, "23") == {"put_off": 1}, "the next one would fare no better"
    assert send_due(instance, "23") == {"put_off": 1}
    assert {r.last_error for r in every_row(instance)} == {"mail_server_unreachable"}
    clock.later(seconds=59)
    assert send_due(instance, "23") == {}
    clock.later(seconds=1)
    with box.open():
        assert send_due(instance, "23") == {"sent": 2}
    assert len(box.received) == 2
    assert {r.last_error for r in every_row(instance)} == {None}


def test_each_wait_is_twice_as_long_up_to_an_hour(instance, box, clock):
    box.to_recipient = lambda _address: "450 4.2.0 Greylisted"
    invited(instance)
    waits = []
    for _ in range(9):
        assert send_due(instance, "23") == {"put_off": 1}
        found = row(instance)
        assert (found.last_error, found.last_reply) == ("mail_put_off", 450)
        waits.append(found.due_at - clock.at)
        clock.at = found.due_at - timedelta(seconds=1)
        assert send_due(instance, "23") == {}
        clock.at = found.due_at
    minutes = [wait // timedelta(minutes=1) for wait in waits]
    assert minutes == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert waits[-1] == LONGEST_WAIT
    box.to_recipient = lambda _address: None
    assert send_due(instance, "23") == {"sent": 1}
    assert row(instance).attempts == 10


def test_a_content_put_off_is_the_same_email_when_it_comes_back(instance, box, clock):
    box.to_content = lambda _server: "451 4.3.0 Later"
    invited(instance)
    assert send_due(instance, "23") == {"put_off": 1}
    box.to_content = lambda _server: None
    clock.later(minutes=1)
    assert send_due(instance, "23") == {"sent": 1}
    first, second = [
        [line for line in told.splitlines() if line.startswith(b"Message-ID:")]
        for told in box.told
    ]
    assert first == second


@pytest.mark.parametrize(
    ("of", "error"),
    [("recipient", "mail_recipient_refused"), ("content", "mail_content_refused")],
)
def test_a_final_refusal_stops_the_email_and_no_other(instance, box, clock, of, error):
    wrong = "unknown@caf.example"
    if of == "recipient":
        box.to_recipient = lambda to: "550 5.1.1 No such user" if to == wrong else None
    else:
        box.to_content = lambda _s: (
            "554 5.6.0 No" if wrong.encode() in box.told[-1] else None
        )
    invited(instance, wrong)
    invited(instance)

    assert send_due(instance, "23") == {"stopped": 1, "sent": 1}

    stopped = every_row(instance)[0]
    assert (stopped.last_error, stopped.sealed) == (error, None)
    assert stopped.last_reply in {550, 554}
    clock.later(days=3)
    assert send_due(instance, "23") == {}
    assert len(box.received) == 1


def test_a_refusal_of_us_stops_nothing(instance, box, clock):
    """A sender that is refused is a setting to mend: what waits leaves after that."""
    box.to_sender = "550 5.7.1 Not from there"
    invited(instance)
    invited(instance, "b@caf.example")
    assert send_due(instance, "23") == {"put_off": 1}
    assert every_row(instance)[0].last_error == "mail_sender_refused"
    box.to_sender = None
    clock.later(minutes=1)
    assert send_due(instance, "23") == {"sent": 2}


def test_a_code_that_opens_nothing_any_more_does_not_leave(instance, box):
    invited(instance)
    with instance.database.begin("23") as session:
        new_invitation(session, row(instance).person, by="test", now=instance.moment("23"))

    assert send_due(instance, "23") == {"stopped": 1}

    assert (row(instance).last_error, row(instance).sealed) == ("mail_replaced", None)
    assert box.told == []


def test_what_would_not_be_true_any_more_is_given_up(instance, box, clock):
    box.to_recipient = lambda _address: "450 later"
    invited(instance)
    send_due(instance, "23")
    clock.later(days=13, hours=23)
    assert send_due(instance, "23") == {"put_off": 1}
    clock.later(hours=1)
    assert send_due(instance, "23") == {"given_up": 1}
    assert (row(instance).last_error, row(instance).sealed) == ("mail_too_late", None)
    assert send_due(instance, "23") == {}
    for days, shown in ((29, 1), (2, 0)):
        clock.later(days=days)
        with instance.database.begin("23", read_only=True) as session:
            assert len(rows.listed_open(session, now=instance.moment("23"))) == shown


def test_an_uncertain_email_is_closed_at_its_end_and_stays_uncertain(instance, box, clock):
    box.to_content = hangs_up
    invited(instance)
    send_due(instance, "23")
    clock.later(days=14)
    assert send_due(instance, "23") == {"given_up": 1}
    assert (row(instance).last_error, row(instance).sealed) == ("mail_answer_lost", None)


def test_a_person_whose_address_was_taken_away_gets_nothing(instance, box):
    invited(instance)
    with instance.database.begin("23") as session:
        session.execute(
            text("UPDATE person SET email = NULL WHERE login = 'zoe@caf.example'")
        )
    assert send_due(instance, "23") == {"stopped": 1}
    assert row(instance).last_error == "mail_address_unusable"


def everything(instance: Instance) -> bytes:
    """All that the département's database holds: the bytes of the files, or the text of each row."""
    place = instance.database.place
    if isinstance(place, FilesPlace):
        return b"".join(p.read_bytes() for p in sorted(place.folder.glob("d23.db*")))
    with instance.database.begin("23", "owner") as session:
        tables = session.scalars(
            text(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = 'd23'"
            )
        ).all()
        found = [
            session.execute(text(f"SELECT t::text FROM {t} AS t")).all() for t in tables
        ]
    return repr(found).encode()


def test_the_code_is_nowhere_in_the_database(instance, box):
    code = invited(instance)
    sealed = row(instance).sealed
    looked_for = [code.encode(), normalised(code).encode()]
    assert len(sealed) > 30
    assert not [c for c in looked_for if c in everything(instance)], (
        "not even before it leaves"
    )

    send_due(instance, "23")

    assert code in text_of(box.received[0])
    assert row(instance).sealed is None
    looked_for += [sealed, sealed.hex().encode()]
    assert not [c for c in looked_for if c in everything(instance)]


def test_the_seal_of_one_email_does_not_open_in_another(instance, box):
    invited(instance)
    invited(instance, "b@caf.example")
    first, second = every_row(instance)
    with instance.database.begin("23") as session:
        session.execute(
            outbox.update().where(outbox.c.id == second.id).values(sealed=first.sealed)
        )
    assert send_due(instance, "23") == {"sent": 1, "stopped": 1}
    assert every_row(instance)[1].last_error == "seal_broken"


def test_without_its_master_key_an_email_waits(instance, box, clock):
    invited(instance)
    instance.sealer = Sealer([new_key()])
    assert send_due(instance, "23") == {"put_off": 1}
    assert row(instance).last_error == "sealed_by_unknown_key"
    instance.sealer = Sealer([MASTER_KEY])
    clock.later(minutes=1)
    assert send_due(instance, "23") == {"sent": 1}


def test_a_change_of_master_key_reaches_what_waits(instance, box):
    code = invited(instance)
    new = new_key()
    instance.sealer = Sealer([new, MASTER_KEY])
    assert sum(piece.resealed for piece in rotate(instance, "23")) >= 1
    instance.sealer = Sealer([new])
    assert send_due(instance, "23") == {"sent": 1}
    assert code in text_of(box.received[0])


def test_nothing_is_queued_that_could_not_leave(database, tmp_path, clock, box):
    with database.begin("23") as session:
        a_world(session)
    for instance, login in (
        (an_instance(database, tmp_path, clock), "a@caf.example"),
        (an_instance(database, tmp_path, clock, mail=box.mailing), "caf-accueil"),
        (an_instance(database, tmp_path, clock, mail=box.mailing), "a b@caf.example"),
        (
            Instance(Settings(tmp_path, {}, SECRET, mail=box.mailing), clock),
            "c@caf.example",
        ),
    ):
        instance.database = database
        now = instance.moment("23")
        with database.begin("23") as session:
            asked = Invite(new_id(), login, "Zoé", Role.ACCOUNTANT)
            given = done(invite(session, asked, inviter=None, by="test", now=now))
            who = UUID(given.facts["person"])
            assert not mail_code(session, instance, who, "0000-0000-0000", now=now)
    assert every_row(instance) == []
    with pytest.raises(sending.MailNotConfigured):
        send_due(an_instance(database, tmp_path, clock), "23")


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("closed_once", "stopped_at = made_at, last_error = 'x'"),
        ("claimed_first", "claimed_at = NULL"),
        ("claimed_first", "attempts = 0"),
        ("secret_is_gone", "sealed = x'00'"),
        ("stopped_for_cause", "sent_at = NULL, stopped_at = made_at"),
    ],
)
def test_the_database_holds_to_it(instance, box, name, changes):
    invited(instance)
    send_due(instance, "23")
    if "x'00'" in changes and not isinstance(instance.database.place, FilesPlace):
        changes = changes.replace("x'00'", "'\\x00'")
    with (
        pytest.raises(Exception, match=f"ck_outbox_{name}"),
        instance.database.begin("23") as session,
    ):
        session.execute(text(f"UPDATE outbox SET {changes}"))


def test_a_job_sends_what_is_due_every_minute_where_a_server_is_set(
    instance, database, tmp_path, clock
):
    scheduler = jobs.schedule(instance)
    mails = {job.id: job for job in scheduler.get_jobs() if job.id.startswith("mail-")}
    assert set(mails) == {"mail-23", "mail-974"}
    assert mails["mail-23"].trigger.interval == timedelta(minutes=1)
    assert mails["mail-23"].max_instances == 1
    invited(instance)
    work = mails["mail-23"]
    assert work.func(*work.args) == {"sent": 1}

    without = jobs.schedule(an_instance(database, tmp_path, clock))
    assert not [job for job in without.get_jobs() if job.id.startswith("mail-")]


def test_a_sender_killed_once_the_server_has_accepted_never_sends_again(
    tmp_path, monkeypatch, box
):
    """By commands, on SQLite, with a process that is really killed."""
    for name, value in {
        "PASSNUM_DATA_DIR": str(tmp_path / "data"),
        "PASSNUM_SMTP_URL": box.url,
        "PASSNUM_MAIL_FROM": SENDER,
        "PASSNUM_VAULT_KEY": key_text(MASTER_KEY),
    }.items():
        monkeypatch.setenv(name, value)

    def run(*words: str) -> str:
        ran = typed(*words)
        assert ran.code == 0, ran
        return ran.out

    run("departement", "add", "23", "Creuse", "--host", "pass.creuse.fr")
    said = run("people", "invite", "Zoe@caf.example", "Zoé", "--role", "manager")
    assert "Il part aussi par e-mail à zoe@caf.example." in said
    dry = run("mail", "send", "--dry-run")
    assert "zoe@caf.example  invitation" in dry
    assert dry == run("mail", "send", "--dry-run"), "nothing was marked"
    assert box.told == []

    sender = subprocess.Popen([PASSNUM, "mail", "send"])

    def kills(_server) -> None:
        os.kill(sender.pid, signal.SIGKILL)
        sender.wait()

    box.to_content = kills
    assert sender.wait(timeout=120) == -signal.SIGKILL
    assert len(box.received) == 1

    assert run("mail", "send").startswith("0 partis")
    assert run("mail", "send", "--dry-run").splitlines()[1:] == []
    assert len(box.received) == 1
    [kept] = typed("mail", "list", "--format", "json").json
    assert (kept["login"], kept["state"], kept["attempts"]) == (
        "zoe@caf.example",
        "under_way",
        1,
    )
    assert typed("mail", "retry", kept["id"]).refusal == "mail_under_way"
    assert typed("mail", "drop", str(new_id())).refusal == "mail_unknown"
