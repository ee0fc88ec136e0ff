"""Signed notes, cosignatures and policies, as the C2SP pages say them."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.notes import (
    COSIGNATURE,
    SIGNATURE,
    Checkpoint,
    Key,
    Line,
    Note,
    NoteError,
    cosign,
    public_key,
    read,
    read_checkpoint,
    read_key,
    sign,
    verify,
)
from ledger.policy import PolicyError, read_policy, vouch

# The example of c2sp.org/signed-note v1.0.0 that comes with its key.
EXAMPLE = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRK"
    "uwHjG1Yu72IneyaQM=\n"
)
OF_EXAMPLE = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
# The one of its earlier versions, without a key.
PUBLISHED = (
    "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\n"
    "ed è subito sera.\n\n"
    "— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFS"
    "QU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n"
)
# Of c2sp.org/tlog-cosignature.
COSIGNED = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv"
    "2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2"
    "oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
)
# Of golang.org/x/mod/sumdb/note (BSD-3-Clause), which publishes the key too.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
OF_PETER = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZ"
    "b6KE6RyyBwJnAM=\n"
)

LOG = Ed25519PrivateKey.from_private_bytes(bytes(31) + b"\x01")
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(31) + b"\x02")
SEER = Ed25519PrivateKey.from_private_bytes(bytes(31) + b"\x03")
THIRD = Ed25519PrivateKey.from_private_bytes(bytes(31) + b"\x04")
TEXT = Checkpoint("log.example/23", 7, bytes(32)).text


def note(*lines: Line, text: str = TEXT) -> Note:
    return Note(text, lines)


def of_log() -> Line:
    return sign(TEXT, "log.example/23", LOG)


@pytest.mark.parametrize(("told", "vkey"), [(EXAMPLE, OF_EXAMPLE), (OF_PETER, PETER)])
def test_a_published_note_verifies(told, vkey):
    taken, key = read(told), read_key(vkey)
    assert str(taken) == told
    assert [s.key for s in verify(taken, [key])] == [key]
    with pytest.raises(NoteError, match="is wrong"):
        verify(read(told.replace("is", "was", 1)), [key])


@pytest.mark.parametrize("told", [PUBLISHED, COSIGNED])
def test_the_examples_of_the_pages_are_read_and_written_back(told):
    taken = read(told)
    assert str(taken) == told
    assert taken.text.endswith("\n")
    assert taken.lines[0].name in {
        "quasimodo.example/salvatore",
        "example.com/behind-the-sofa",
    }


def test_the_example_of_the_cosignature_says_when():
    line = read(COSIGNED).lines[1]
    assert int.from_bytes(line.signature[:8]) == 1679315147
    assert read_checkpoint(read(COSIGNED).text).size == 20852163


def test_a_key_is_handed_over_as_text():
    key = public_key("log.example/23", LOG)
    assert read_key(key.vkey) == key
    assert read_key(f" {PETER}\n").vkey == PETER
    for wrong in (
        "", "log.example/23", PETER.replace("c74f20a3", "c74f20a4"), PETER + "A", PETER[:-4],
        "a b+00000000+AA==", "x+0000000g+AA==", "x+00000000+AQ==",
    ):  # fmt: skip
        with pytest.raises(NoteError):
            read_key(wrong)
    for name in ("", "with space", "with+plus", "with\u00a0space"):
        with pytest.raises(NoteError):
            public_key(name, LOG)


def test_several_sign_and_the_unknown_are_ignored():
    signed = note(
        of_log(),
        sign(TEXT, "someone.example", OTHER),
        cosign(TEXT, "w.example", SEER, seconds=9),
    )
    log, seer = (
        public_key("log.example/23", LOG),
        public_key("w.example", SEER, COSIGNATURE),
    )
    assert [(s.key, s.seconds) for s in verify(read(str(signed)), [log, seer])] == [
        (log, None),
        (seer, 9),
    ]
    assert [s.key for s in verify(signed, [seer])] == [seer]
    with pytest.raises(NoteError, match="none of the expected"):
        verify(
            signed, [public_key("log.example/23", OTHER)]
        )  # the name of one, the key of another
    with pytest.raises(NoteError, match="none of the expected"):
        verify(signed, [])


def test_a_known_key_that_signed_something_else_spoils_the_note():
    key = public_key("log.example/23", LOG)
    wrong = sign(TEXT.replace("7", "8"), "log.example/23", LOG)
    with pytest.raises(NoteError, match="is wrong"):
        verify(note(wrong), [key])
    with pytest.raises(NoteError, match="is wrong"):
        verify(
            note(wrong, sign(TEXT, "someone.example", OTHER)),
            [key, public_key("someone.example", OTHER)],
        )
    short = Line("log.example/23", key.id, b"short")
    with pytest.raises(NoteError, match="as long"):
        verify(note(short), [key])


def test_a_cosignature_is_not_a_signature():
    """The two kinds have other key ids, so that one is never taken for the other."""
    plain, co = public_key("w.example", SEER), public_key("w.example", SEER, COSIGNATURE)
    assert plain.id != co.id
    line = cosign(TEXT, "w.example", SEER, seconds=5)
    assert verify(note(line), [co])[0].seconds == 5
    later = Line(line.name, line.id, (6).to_bytes(8) + line.signature[8:])
    with pytest.raises(NoteError, match="is wrong"):
        verify(note(later), [co])


@pytest.mark.parametrize(
    "told",
    [
        "", "\n", "text\n", "text\n\n", "text\n\n— name sig", f"{TEXT}\n— name\n", f"{TEXT}\n- name AAAAAAAA\n",
        f"{TEXT}\n— name AAAAAAAé\n", f"{TEXT}\n— na me AAAAAAAA\n", f"{TEXT}\n— name AAAA\n", f"{TEXT}\n— name A\n", f"a\tb\n\n{of_log()}\n",
        f"{TEXT}\n{of_log()}\nmore\n", f"{TEXT}\n" + f"{of_log()}\n" * 65, "a" * 1_100_000 + f"\n\n{of_log()}\n",
    ],
)  # fmt: skip
def test_what_is_no_note_is_refused(told):
    with pytest.raises(NoteError):
        read(told)


@pytest.mark.parametrize(
    "text",
    [
        "", "a\n7\n", f"\n7\n{base64.b64encode(bytes(32)).decode()}\n", f"a\n07\n{base64.b64encode(bytes(32)).decode()}\n",
        f"a\n-7\n{base64.b64encode(bytes(32)).decode()}\n", f"a\n٧\n{base64.b64encode(bytes(32)).decode()}\n",
        f"a\n7\n{base64.b64encode(bytes(31)).decode()}\n", "a\n7\n!!!!\n", "a\n7\n" + "é" * 44 + "\n",
    ],
)  # fmt: skip
def test_what_is_no_checkpoint_is_refused(text):
    with pytest.raises(NoteError):
        read_checkpoint(text)


def policy(quorum: str = "quorum any-of\n") -> str:
    names = (("pref", SEER), ("eu", THIRD))
    witnesses = "".join(
        f"witness {name} {public_key(f'{name}.example', key, COSIGNATURE).vkey} http://{name}.example\n"
        for name, key in names
    )
    log = f"log {public_key('log.example/23', LOG).vkey} http://log.example\n"
    groups = "group any-of any pref eu\n"
    return f"# who looks after this log\n\n{log}{witnesses}{groups}{quorum}"


def seen(name: str, key: Ed25519PrivateKey) -> Line:
    return cosign(TEXT, f"{name}.example", key, seconds=100)


def test_a_policy_says_who_must_have_signed():
    one, both = (
        read_policy(policy()),
        read_policy(policy().replace("any-of any", "any-of all")),
    )
    enough = note(of_log(), seen("pref", SEER))
    assert vouch(one, enough).witnesses == {"pref": 100}
    with pytest.raises(NoteError, match="not enough"):
        vouch(both, enough)
    assert set(
        vouch(both, note(of_log(), seen("pref", SEER), seen("eu", THIRD))).witnesses
    ) == {"pref", "eu"}
    with pytest.raises(NoteError, match="not enough"):
        vouch(one, note(of_log()))
    with pytest.raises(NoteError, match="none of the expected"):
        vouch(one, note(seen("pref", SEER)))
    with pytest.raises(
        NoteError, match="wrong"
    ):  # a witness known by name whose signature is bad
        bad = seen("pref", SEER)
        vouch(one, note(of_log(), Line(bad.name, bad.id, bad.signature[:-1] + b"\0")))
    assert vouch(read_policy(policy("quorum none\n")), note(of_log())).witnesses == {}
    elsewhere = Checkpoint("other.example", 7, bytes(32)).text
    with pytest.raises(NoteError, match="does not know the log"):
        vouch(one, note(sign(elsewhere, "log.example/23", LOG), text=elsewhere))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("quorum any-of\n", ""), "quorum"),
        (("quorum any-of\n", "quorum any-of\nquorum none\n"), "twice"),
        (("quorum any-of", "quorum nobody"), "does not stand above"),
        (("any pref eu", "3 pref eu"), "from 1 to 2"),
        (("any pref eu", "0 pref eu"), "from 1 to 2"),
        (("any pref eu", "any"), "a line is"),
        (("any pref eu", "any pref pref"), "in a group already"),
        (("witness eu", "witness pref"), "taken"),
        (("witness eu", "witness none"), "taken"),
        (("witness eu", "wITNESS eu"), "a line is"),
        (("log.example/23+", "log.example/24+"), "its id is"),
    ],
)
def test_a_policy_that_says_two_things_is_refused_with_its_line(change, why):
    with pytest.raises(PolicyError, match=why):
        read_policy(policy().replace(*change))


def test_a_witness_signs_as_a_witness_and_once():
    vkey = public_key("pref.example", SEER, COSIGNATURE).vkey
    with pytest.raises(PolicyError, match="stands here already"):
        read_policy(f"witness a {vkey}\nwitness b {vkey}\nquorum a\n")
    plain = Key("pref.example", SIGNATURE, public_key("pref.example", SEER).public).vkey
    with pytest.raises(PolicyError, match="another kind"):
        read_policy(f"witness a {plain}\nquorum a\n")
