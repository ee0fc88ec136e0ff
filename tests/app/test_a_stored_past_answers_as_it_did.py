"""The answers about a past that was stored once, byte for byte: later code may not change what was told.

`stored_world.json` is never written again.  Where a digest has to change, an answer that people
have kept has changed: say so to them, in the changelog.
"""

from datetime import date
from hashlib import sha256
from pathlib import Path

import pytest

from app.audit import audit_departement
from app.messages import messages
from app.reconciliations import printed
from ledger import queries
from redemption.reconciliation import reconcile
from tests.app.stored_world import load
from tests.conftest import moment

STORED = Path(__file__).with_name("stored_world.json")
ROOT = "8f1775d2dc59743aa979970592ae9b2f9615a0c3175f1564276bc018b16864b5"
# Of JSON and of CSV; the page of text is for people, and its words may be said better one day.
DIGESTS = {
    "T1 in March 2020": (
        "0223c808bf6a05d8afdf19bf5b6630828acc74bae4bebe7ae617570dd5c6d554",
        "8b56b51be7a9bcf68d6a61594129509f846d186ce9ad8ad37dcb1b6fca34edc5",
    ),
    "T1 in February 2020": (
        "db05f9f528d662373eaa486e56c15b73718648d0d491303bc72a8b13ebeb7ad1",
        "ab114657b7016386e580720bcb01319829561be4b821c7bab0a10095a1ce9d33",
    ),
    "T2 in March 2020": (
        "1fcd839b6e090dddf454e8387b69635e5eb0018cf2834dd7d7d1b6e1c9b65915",
        "fb114cd81a422a7c650e5bbc64756d1333abbffbd9186a14dbbd8eec420d8fdc",
    ),
    "T2 with a scan regularised": (
        "03720530a888682fcdcefb6d5e08e9da16472af008a2744eb92cecc827f336b4",
        "f3104e30cef83e9510ac44407185477199980481371057680faedb87f8883c99",
    ),
    "the call in March 2020": (
        "fa7a6ea6672c3beef97c04e6a4b5d2f092676cc4d1462771ab85e60baf7ca3d4",
        "ab587e5739725e2ee514d13074e48ab8b55f40fcedb766a0c324e277555433d8",
    ),
    "the call, between two checkpoints": (
        "c38ad2271cab34718a77b54b4c16f9111ac623c39dc164af9fbe20b961023ce6",
        "d7b92fad09f4a0788219f73041408340551b25ff46ee73db34b94c55aca04b80",
    ),
    "everything in the beginning": (
        "b7ddf2b300304b16661f4842fc95f144cdb7b2966af28bf6b757527e3ef8a75b",
        "45875a7ffe1653be07f7b31d60d1d200f7311235f884226c9292ca67890a2f13",
    ),
    "everything after the lapse": (
        "60dcd814efdd5b678b4d5a987c08f98c8b8576503ebe1947c747f803315b14c8",
        "6beb41c84dc6dc88dae91c37ca32b8768c0c78fe9c07274192dfa620ad6a1f30",
    ),
    "everything after the lapse, of February": (
        "5a54eb0f672e21bdf9e6f9a420d3a94a5b5c3a14a5145abb263785875ac793d2",
        "5f7856ac2c6203b0c25839bf87820d3f7c91b18b5fd5fdd56d63d31921b4a52d",
    ),
}
QUESTIONS = {
    "T1 in March 2020": {"tranche": "T1", "log_size": 57},
    "T1 in February 2020": {"tranche": "T1", "log_size": 57, "as_of": date(2020, 2, 10)},
    "T2 in March 2020": {"tranche": "T2", "known_by": date(2020, 2, 29)},
    "T2 with a scan regularised": {"tranche": "T2", "log_size": 65},
    "the call in March 2020": {"call": "AAP", "known_by": date(2020, 2, 29)},
    "the call, between two checkpoints": {"call": "AAP", "log_size": 90},
    "everything in the beginning": {"log_size": 20},
    "everything after the lapse": {"log_size": 117},
    "everything after the lapse, of February": {"log_size": 117, "as_of": date(2020, 2, 29)},
}  # fmt: skip


@pytest.fixture
def stored(database):
    load(database, STORED)
    return database


def test_each_answer_is_the_one_that_was_given(stored):
    told = {}
    with stored.begin("23", read_only=True) as session:
        for name, question in QUESTIONS.items():
            found = reconcile(session, now=moment("2031-05-05"), **question)
            told[name] = tuple(
                sha256(
                    printed(found, question.get("call"), form, messages("fr")).encode()
                ).hexdigest()
                for form in ("json", "csv")
            )

    assert told == DIGESTS


def test_the_stored_past_is_whole(stored):
    with stored.begin("23", read_only=True) as session:
        assert queries.log_size(session) == 117
        root = queries.root_at(session, 117)
        assert root is not None
        assert root.hex() == ROOT
        findings = [f.code for _, found in audit_departement(session) for f in found]
    assert findings == []
