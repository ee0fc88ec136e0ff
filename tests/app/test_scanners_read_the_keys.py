"""Scanners read the public keys: enough to tell a real pass without a network, and which key to believe no more."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from litestar.testing import TestClient

from app import remembered
from app.database import Database, FilesPlace
from app.registry import Departement
from app.web import create_app
from issuance import tokens
from issuance.keys import NewKeys, RevokeKey, new_keys, revoke_key
from issuance.tokens import ForgedToken
from ledger.identifiers import new_id
from tests.app.running import an_instance
from tests.app.visiting import KEYS
from tests.builders import SECRET, a_world, an_order, done
from tests.conftest import moment

NOW = moment("2020-01-08")


@pytest.fixture
def http(database, tmp_path, monkeypatch):
    monkeypatch.setattr(remembered, "SECONDS", -1.0)  # read again each time
    with TestClient(create_app(an_instance(database, tmp_path))) as client:
        yield client


def keys_in(told) -> dict[int, Ed25519PublicKey]:
    """Return the keys as a reader of JWK sets finds them, one that knows nothing of us."""
    return {
        int(key["kid"]): Ed25519PublicKey.from_public_bytes(
            base64.urlsafe_b64decode(key["x"] + "=")
        )
        for key in told
        if (key["kty"], key["crv"], key["use"]) == ("OKP", "Ed25519", "sig")
    }


def test_a_pass_is_verified_with_what_is_shown_and_nothing_else(http, database):
    with database.begin("23") as session:
        world = a_world(session)
        [real, *_] = an_order(session, world, 1)
        [specimen, *_] = an_order(session, world, 1, specimen=True)
    answer = http.get("/23" + KEYS)
    told = answer.json()
    known = keys_in(told["keys"])

    assert answer.headers["content-type"].startswith("application/jwk-set+json")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert str(tokens.verify(tokens.from_text(world.token(real)), known).serial) == real
    token = tokens.from_text(world.token(specimen))
    with pytest.raises(ForgedToken, match="key"):
        tokens.verify(token, known)
    assert str(tokens.verify(token, keys_in(told["specimens"])).serial) == specimen
    assert [key["purpose"] for key in told["keys"] + told["specimens"]] == [
        "voucher",
        "specimen",
    ]
    assert {key["alg"] for key in told["keys"]} == {"EdDSA"}


def test_no_private_key_and_no_code_key_is_shown(http, database):
    with database.begin("23") as session:
        a_world(session)
    told = http.get("/23" + KEYS).json()
    assert {key["kid"] for key in told["keys"] + told["specimens"]} == {"0", "1"}
    members = {"alg", "crv", "kid", "kty", "purpose", "use", "x"}
    assert all(set(key) == members for key in told["keys"] + told["specimens"])


def test_a_revoked_key_is_no_longer_among_the_keys_and_says_when_and_why(http, database):
    with database.begin("23") as session:
        a_world(session)
        asked = NewKeys(new_id())
        done(new_keys(session, asked, secret=SECRET, by="test", now=NOW))
    before = http.get("/23" + KEYS)
    assert [key["kid"] for key in before.json()["keys"]] == ["0", "3"]
    with database.begin("23") as session:
        asked = RevokeKey(new_id(), 0, "suspected")
        done(revoke_key(session, asked, by="test", now=NOW))

    after = http.get("/23" + KEYS, headers={"If-None-Match": before.headers["etag"]})

    assert after.status_code == 200
    assert [key["kid"] for key in after.json()["keys"]] == ["3"]
    assert after.json()["revoked"] == [
        {"kid": "0", "revoked_at": "2020-01-08T09:00:00Z", "why": "suspected"}
    ]


def test_a_scanner_that_has_it_already_is_told_so(http, database):
    with database.begin("23") as session:
        a_world(session)
    first = http.get("/23" + KEYS)
    assert first.headers["cache-control"] == "public, max-age=300"
    marks = f'"other", W/{first.headers["etag"]}'
    again = http.get("/23" + KEYS, headers={"If-None-Match": marks})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]


def test_without_a_code_the_host_says_whose_keys_they_are(http, database):
    with database.begin("23") as session:
        a_world(session)
    for host, code in (("pass.creuse.fr", "23"), ("PASS.DEPARTEMENT974.FR:443", "974")):
        told = http.get(KEYS, headers={"Host": host}).json()
        assert told["departement"] == code
    assert http.get(KEYS, headers={"Host": "pass.exemple.fr"}).status_code == 404
    elsewhere = http.get("/23" + KEYS, headers={"Host": "pass.departement974.fr"})
    assert elsewhere.status_code == 404
    assert http.get("/99" + KEYS).status_code == 404


def test_alone_on_its_instance_a_departement_needs_neither_code_nor_host(tmp_path):
    alone = Database(FilesPlace(tmp_path))
    alone.add_departement(Departement("19", "Corrèze", "Europe/Paris", "PASS.CORREZE.FR"))
    with TestClient(create_app(an_instance(alone, tmp_path))) as client:
        told = client.get(KEYS, headers={"Host": "localhost"}).json()
    assert told == {"departement": "19", "keys": [], "revoked": [], "specimens": []}
