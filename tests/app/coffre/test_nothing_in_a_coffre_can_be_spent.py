"""A coffre may be left on a train: nothing in it is money, a key, or a person."""

import base64

from sqlalchemy import select

from issuance.models import foreign_qr, secret_key, vault_person, vault_record, voucher
from ledger.models import attempt, log_key
from tests.app.coffre.world import FOREIGN_QR, close, contents, exported, live, published
from tests.builders import MASTER_KEY, SECRET
from tests.conftest import moment


def every_writing(data: bytes) -> set[bytes]:
    """Return the ways in which bytes could have slipped into a text."""
    return {
        data, data.hex().encode(), data.hex().upper().encode(), base64.b64encode(data),
        base64.urlsafe_b64encode(data).rstrip(b"="), base64.b32encode(data).rstrip(b"="),
    }  # fmt: skip


def test_no_token_no_code_no_key_no_person(database, tmp_path):
    world = live(database)
    close(database)
    published(database, moment("2021-03-01"))
    whole = exported(database, tmp_path / "coffre.zip")
    choice = exported(database, tmp_path / "call.zip", call="AAP")
    kept = b"\x00".join([*contents(whole).values(), *contents(choice).values()])

    secrets: set[bytes] = {SECRET, MASTER_KEY}
    texts: set[bytes] = set()
    for printed in world.passes.values():
        token = printed.url.rpartition("/")[2]
        texts |= {
            printed.url.encode(),
            token.encode(),
            printed.code.encode(),
            printed.code.replace("-", "").encode(),
        }
    texts |= {b"88100001", b"88100004", b"ZZ 77 K", b"ZZ77K", FOREIGN_QR.encode()}
    with database.begin("23", read_only=True) as session:
        for row in session.execute(select(voucher)):
            secrets |= {row.token_digest, row.code_digest}
        secrets |= set(session.scalars(select(foreign_qr.c.digest)))
        for row in session.execute(select(secret_key)):
            secrets.add(row.sealed)
        for row in session.execute(select(log_key)):
            secrets.add(row.sealed)
        people = session.execute(select(vault_person)).all()
        for person in people:
            texts.add(str(person.id).encode())
            secrets.add(person.sealed_key)
        for record in session.execute(select(vault_record)):
            secrets.add(record.sealed)
        for row in session.execute(select(attempt.c.request_hash)):
            secrets.add(row.request_hash)
    assert len(people) >= 1
    for key in world.signer.every.values():
        secrets.add(key.private_bytes_raw())
    secrets.add(world.signer.code_key)
    assert len(texts) > 150
    assert len(secrets) > 150

    for text in texts:
        assert text not in kept
    for secret in secrets:
        assert not [written for written in every_writing(bytes(secret)) if written in kept]
    # What a hand-out told of the person is in the vault alone.
    assert b"jobseeker" not in contents(whole)["journal.jsonl"]
