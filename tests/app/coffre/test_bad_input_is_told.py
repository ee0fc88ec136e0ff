"""Whatever is given in place of a coffre is refused in a sentence, and nothing is written."""

import io
import json
import random
import zipfile
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.coffre import verify
from ledger.notes import (
    COSIGNATURE,
    Checkpoint,
    Note,
    cosign,
    public_key,
    read,
    read_checkpoint,
    sign,
)
from tests.app.coffre.world import (
    LOG,
    WITNESS,
    WITNESS_KEY,
    alone,
    forged,
    packed,
    sealed,
    verified,
)


def refused(coffre, words, *options, code=2):
    told = verified(coffre, *options)
    assert told.code == code, told
    said = told.err if code == 2 else told.out
    assert words in said, said
    assert "Traceback" not in said
    return said


def test_a_file_that_is_not_there(tmp_path):
    refused(tmp_path / "none.zip", "Il n'y a pas de fichier")


def test_a_folder_without_a_coffre(tmp_path):
    refused(tmp_path, "il n'a pas de fichier manifest.json")


@pytest.mark.parametrize("data", [b"", b"hello", b"PK\x03\x04", b"PK\x05\x06" + bytes(18)])
def test_what_is_not_a_coffre(tmp_path, data):
    (tmp_path / "coffre.zip").write_bytes(data)
    refused(tmp_path / "coffre.zip", "ne peut pas être lu")


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9, 0.999])
def test_a_truncated_zip(coffres, tmp_path, share):
    raw = coffres.new.read_bytes()
    (tmp_path / "coffre.zip").write_bytes(raw[: int(len(raw) * share)])
    assert "tronqué" in refused(tmp_path / "coffre.zip", "ne peut pas être lu")


def test_noise_around_the_zip(coffres, tmp_path):
    """A zip is found all the same; what is in it is what was signed."""
    noise = random.Random(1).randbytes(500)
    (tmp_path / "coffre.zip").write_bytes(noise + coffres.new.read_bytes())
    told = alone(tmp_path / "coffre.zip")
    assert (told.code, told.err) == (0, "")
    (tmp_path / "coffre.zip").write_bytes(coffres.new.read_bytes() + noise)
    told = alone(tmp_path / "coffre.zip")
    assert (told.code, told.err) == (0, "")


@pytest.mark.parametrize(
    "of",
    [{}, {"code": "23"}, {"code": 23}, {"timezone": None}, {"name": ["x"]}, {"host": 1}],
)
def test_a_departement_that_is_badly_told(coffres, tmp_path, of):
    told = json.loads(coffres.files()["manifest.json"])["departement"]
    place = told | of if len(of) == 1 and "code" not in of else of
    files = sealed(coffres.files(), departement=place)
    refused(packed(tmp_path / "coffre.zip", files), "n'a pas la forme attendue")


def test_nothing_of_a_file_commands_the_terminal(coffres, tmp_path):
    told = json.loads(coffres.files()["manifest.json"])["departement"]
    told["name"] = "Creuse\x1b[2J\x1b]0;x\x07\r\n✓ tout est prouvé\u202e\u2028"
    files = sealed(coffres.files(), departement=told)
    said = alone(packed(tmp_path / "one.zip", files))
    assert said.code == 0
    assert "Creuse?[2J?]0;x???✓ tout est prouvé??)" in said.out
    line = b'{"kind":"\\u001b[31m","on":"\\u009b1m","id":"\\ud800"}'
    files = forged(coffres.files(), [line, *coffres.lines()], coffres.key)
    for odd in (
        alone(packed(tmp_path / "two.zip", files)),
        alone(packed(tmp_path / "\x1b[31mthree.zip", {"\x1b[2J": b""})),
    ):
        assert odd.code in {1, 2}
        seen = odd.out + odd.err
        assert all(c.isprintable() or c == "\n" for c in seen)
        assert "Traceback" not in seen


@pytest.mark.parametrize(
    "name",
    ["../evil", "/etc/passwd", "figures/../../evil.json", "..\\evil", "C:evil", "figures/con\x00.json", "evil.exe", "FIGURES/claims.json", "tile/0/000 ", "a" * 300],
)  # fmt: skip
def test_a_name_that_has_no_business_there(coffres, tmp_path, name):
    said = refused(
        packed(tmp_path / "coffre.zip", coffres.files() | {name: b"x"}),
        "nom de fichier qui n'a rien à y faire",
    )
    assert "Rien n'a été écrit" in said


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_there_twice(coffres, tmp_path):
    target = packed(tmp_path / "coffre.zip", coffres.files())
    with zipfile.ZipFile(target, "a") as more:
        more.writestr("journal.jsonl", b"{}\n")
    refused(target, "deux fois")


def test_a_bomb(coffres, tmp_path):
    refused(
        packed(
            tmp_path / "coffre.zip", coffres.files() | {"journal.jsonl": bytes(50_000_000)}
        ),
        "bombe",
    )
    refused(
        packed(
            tmp_path / "coffre.zip",
            coffres.files() | {"figures/claims.json": bytes(200_000_000)},
        ),
        "bombe",
    )


def test_a_bomb_that_hides_its_size(coffres, tmp_path):
    target = packed(
        tmp_path / "coffre.zip", coffres.files() | {"figures/claims.json": bytes(5_000_000)}
    )
    raw = target.read_bytes().replace(
        (5_000_000).to_bytes(4, "little"), (900).to_bytes(4, "little")
    )
    target.write_bytes(raw)
    told = verified(target)
    assert told.code in {1, 2}


def test_files_laid_over_one_another(coffres, tmp_path):
    """Many names for one piece of a zip, each swelling it again."""
    files = coffres.files() | {f"reference/{'a' * n}.jsonl": b"" for n in range(1, 30)}
    target = packed(
        tmp_path / "coffre.zip", files | {"reference/bomb.jsonl": bytes(10_000_000)}
    )
    told = verified(target)
    assert told.code == 2
    assert "bombe" in told.err


def test_an_encrypted_file(coffres, tmp_path):
    target = packed(tmp_path / "coffre.zip", coffres.files())
    raw = bytearray(target.read_bytes())
    at = raw.index(b"PK\x01\x02")
    raw[at + 8] |= 1
    target.write_bytes(raw)
    refused(target, "chiffré")


def test_another_compression(coffres, tmp_path):
    target = tmp_path / "coffre.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_BZIP2) as writing:
        for name, data in coffres.files().items():
            writing.writestr(name, data)
    refused(target, "inattendue")


def test_a_manifest_of_another_format(coffres, tmp_path):
    refused(
        packed(tmp_path / "coffre.zip", sealed(coffres.files(), format="passnum-coffre/9")),
        "passnum-coffre/9",
    )


@pytest.mark.parametrize(
    "manifest", [{"files": []}, {"size": "many"}, {"departement": None}, {"root": 3}]
)
def test_a_manifest_that_says_nothing(coffres, tmp_path, manifest):
    files = sealed(coffres.files())
    raw = json.dumps(json.loads(files["manifest.json"]) | manifest).encode()
    seal = f"{sha256(raw).hexdigest()}  manifest.json\n".encode()
    told = verified(
        packed(
            tmp_path / "coffre.zip", files | {"manifest.json": raw, "manifest.sha256": seal}
        )
    )
    assert told.code == 2
    assert "manifest.json n'a pas la forme attendue" in told.err


@pytest.mark.parametrize(
    "manifest", [{"size": 12}, {"root": "00" * 32}, {"origin": "pass.other.fr/23"}]
)
def test_a_manifest_that_says_something_else_than_the_checkpoint(
    coffres, tmp_path, manifest
):
    refused(
        packed(tmp_path / "coffre.zip", sealed(coffres.files(), **manifest)),
        "n'annonce pas le point de contrôle",
        code=1,
    )


def a_key(name: str) -> bytes:
    return public_key(name, Ed25519PrivateKey.generate()).vkey.encode() + b"\n"


def test_the_keys_of_another_departement(coffres, tmp_path):
    (tmp_path / "keys.txt").write_bytes(a_key("pass.reunion.fr/974"))
    refused(coffres.new, "un autre département", "--keys", tmp_path / "keys.txt")


def test_an_unknown_key(coffres, tmp_path):
    (tmp_path / "keys.txt").write_bytes(a_key(LOG))
    refused(
        coffres.new,
        "n'est signé par aucune clef connue",
        "--keys",
        tmp_path / "keys.txt",
        code=1,
    )


def test_a_signature_by_the_wrong_key_under_the_right_name(coffres, tmp_path):
    files = coffres.files()
    note = read(files["checkpoint.txt"].decode())
    other = Ed25519PrivateKey.generate().sign(note.text.encode())
    changed = Note(note.text, (note.lines[0]._replace(signature=other),))
    told = sealed(files | {"checkpoint.txt": str(changed).encode()})
    refused(packed(tmp_path / "coffre.zip", told), "est fausse", code=1)


@pytest.mark.parametrize(
    "keys", [b"hello\n", b"a+00000000+AAAA\n", "a+00000000+AAAé\n".encode(), b"\xff\xfe"]
)
def test_keys_that_are_none(coffres, tmp_path, keys):
    (tmp_path / "keys.txt").write_bytes(keys)
    told = verified(coffres.new, "--keys", tmp_path / "keys.txt")
    assert told.code == 2
    assert told.err


def test_keys_that_are_not_there(coffres, tmp_path):
    refused(coffres.new, "ne se lit pas", "--keys", tmp_path / "none.txt")


W1, W2 = (
    public_key(
        f"w{n}.example", Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32), COSIGNATURE
    ).vkey
    for n in (1, 2)
)


@pytest.mark.parametrize(
    ("policy", "line"),
    [
        ("hello\n", 1),
        ("quorum none\nquorum none\n", 2),
        ("quorum nobody\n", 1),
        (f"witness w {W1}\n", 2),
        (f"witness w {W1}\nwitness w {W2}\nquorum w\n", 2),
        (f"witness w {W1}\nwitness v {W1}\nquorum w\n", 2),
        (f"witness w {W1}\ngroup g 2 w\nquorum g\n", 2),
        (f"witness w {W1}\ngroup g 0 w\nquorum g\n", 2),
        (f"witness w {W1}\ngroup g ² w\nquorum g\n", 2),
        (f"witness w {W1}\ngroup g 2 w w\nquorum g\n", 2),
        (f"witness w {W1}\ngroup g all w x\nquorum g\n", 2),
        (f"witness w {W1}\ngroup g any w\ngroup h any w\nquorum g\n", 3),
    ],
)
def test_a_policy_that_cannot_be_read(coffres, tmp_path, policy, line):
    (tmp_path / "policy.txt").write_text(
        f"log {coffres.files()['keys.txt'].decode()}{policy}", encoding="utf-8"
    )
    refused(
        coffres.new,
        f"ne se lit pas à la ligne {line + 1}",
        "--policy",
        tmp_path / "policy.txt",
    )


def test_a_policy_that_asks_for_a_witness_who_has_not_signed(coffres, tmp_path):
    policy = f"log {coffres.files()['keys.txt'].decode()}witness w {W1}\nquorum w\n"
    (tmp_path / "policy.txt").write_text(policy, encoding="utf-8")
    refused(
        coffres.new, "La politique exige « w »", "--policy", tmp_path / "policy.txt", code=1
    )


def cosigned(coffres, *seconds):
    files = coffres.files()
    note = read(files["checkpoint.txt"].decode())
    lines = [cosign(note.text, WITNESS_KEY.name, WITNESS, seconds=at) for at in seconds]
    return sealed(
        files | {"checkpoint.txt": str(Note(note.text, (*note.lines, *lines))).encode()}
    )


def test_enough_witnesses_of_a_group(coffres, tmp_path):
    target = packed(tmp_path / "coffre.zip", cosigned(coffres, 1_600_000_000))
    known = f"log {coffres.files()['keys.txt'].decode()}witness a {WITNESS_KEY.vkey}\nwitness b {W1}\nwitness c {W2}\n"
    for groups, good in (
        ("group g any a b\nquorum g\n", True),
        ("group g 2 a b\nquorum g\n", False),
        ("group g all a b c\nquorum g\n", False),
        ("group g 1 a b\ngroup h all g c\nquorum h\n", False),
        ("group g 1 a b\ngroup h any g c\nquorum h\n", True),
        ("quorum a\n", True),
        ("quorum c\n", False),
        ("quorum none\n", True),
    ):
        (tmp_path / "policy.txt").write_text(known + groups, encoding="utf-8")
        assert verified(target, "--policy", tmp_path / "policy.txt").code == (
            0 if good else 1
        ), groups


def test_a_cosignature_from_the_future(coffres, tmp_path):
    target = packed(tmp_path / "coffre.zip", cosigned(coffres, 99_000_000_000))
    (tmp_path / "policy.txt").write_text(
        f"log {coffres.files()['keys.txt'].decode()}witness a {WITNESS_KEY.vkey}\nquorum a\n",
        encoding="utf-8",
    )
    refused(target, "vient du futur", "--policy", tmp_path / "policy.txt")


@pytest.mark.parametrize("at", ["2999-01-01T00:00:00Z", "someday"])
def test_a_checkpoint_from_the_future(coffres, tmp_path, at):
    target = packed(tmp_path / "coffre.zip", sealed(coffres.files(), exported_at=at))
    told = verified(target)
    assert told.code == 2
    assert told.err


def test_a_checkpoint_that_is_larger_than_the_journal(coffres, tmp_path):
    files = coffres.files()
    size = len(coffres.lines()) + 1
    text = Checkpoint(LOG, size, read_root(files)).text
    note = str(Note(text, (sign(text, LOG, coffres.key),)))
    target = packed(
        tmp_path / "coffre.zip",
        sealed(files | {"checkpoint.txt": note.encode()}, size=size),
    )
    told = verified(target)
    assert told.code == 1
    assert f"tile/0/000.p/{size}" in told.out


def read_root(files):
    return read_checkpoint(read(files["checkpoint.txt"].decode()).text).root


@pytest.mark.parametrize(
    "note",
    [b"", b"hello", b"a\n1\n\n\n", b"\xff", b"a\nx\nAAAA\n\n\xe2\x80\x94 a AAAAAAAA\n"],
)
def test_a_checkpoint_that_is_none(coffres, tmp_path, note):
    told = verified(
        packed(tmp_path / "coffre.zip", sealed(coffres.files() | {"checkpoint.txt": note}))
    )
    assert told.code == 2
    assert "checkpoint.txt" in told.err


@pytest.mark.parametrize(
    "line",
    [b"", b"{}", b"[]", b"null", b'"', b"{" * 100_000, b"\xff\xfe", b"1" * 3_000_000],
)
def test_entries_that_are_none(coffres, tmp_path, line):
    lines = [*coffres.lines()[:10], line, *coffres.lines()[10:]]
    told = verified(
        packed(tmp_path / "coffre.zip", forged(coffres.files(), lines, coffres.key))
    )
    assert told.code in {1, 2}
    assert told.out + told.err


def test_random_changes_of_facts_never_trace(coffres, tmp_path):
    """Any value in place of any other: a sentence, or nothing to say; never a trace."""
    dice, values = (
        random.Random(2),
        [
            None,
            True,
            -1,
            0,
            10**30,
            1.5,
            "",
            "x",
            [],
            {},
            ["a"],
            {"a": 1},
            "2020-99-99",
            "23-000001-1",
        ],
    )
    money = 0
    for turn in range(250):
        lines = [json.loads(line) for line in coffres.lines()]
        line = dice.choice(lines)
        inside = dice.choice([line, line["facts"]])
        is_money, field, changed = False, "", False
        if turn % 5 == 0:
            line = inside = dice.choice([e for e in lines if e["cents"]])
            is_money, field = True, dice.choice(["cents", "credit", "debit", "right"])
            value = dice.choice([each for each in values if each != line[field]])
            inside[field], changed = value, True
        elif inside:
            is_money, field = line["cents"] > 0, dice.choice(sorted(inside))
            value = dice.choice(values)
            changed = inside is line and inside[field] != value
            inside[field] = value
        raw = [verify.canonical(each) for each in lines]
        told = verified(
            packed(tmp_path / "coffre.zip", forged(coffres.files(), raw, coffres.key))
        )
        assert "Traceback" not in told.out + told.err
        # Where an entry moves money, nothing but what the rules give will do.
        if is_money and field in {"cents", "credit", "debit", "right"} and changed:
            assert told.code == 1, (field, line)
            money += 1
    assert money > 10


def test_the_program_alone_tells_it_too(coffres, tmp_path):
    (tmp_path / "coffre.zip").write_bytes(coffres.new.read_bytes()[:-30])
    told = alone(tmp_path / "coffre.zip")
    assert (told.code, told.out) == (2, "")
    assert told.err.count("\n") == 1
    assert io.StringIO(told.err).readline().endswith("Rien n'a été écrit.\n")
