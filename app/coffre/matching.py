"""Told tables against the journal: each row that an entry made says what that entry says, and no more.

tables/ is not under the signed root.  What the entries tell is told again from them alone, in their
order, and compared with the rows that were loaded, both ways: a row without its entry, an entry
without its row, or one field that differs is `ImportDiffers`.  What no entry tells (the date that
is printed on an order's passes) is left as it was told.
"""

from collections import defaultdict
from hashlib import sha256
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from app.coffre import figures, verify
from app.coffre.refusals import ImportDiffers
from funding.told import TABLES as FUNDS
from funding.told import FundsTold
from issuance.attestations import hand_outs_hash
from issuance.foreign import bare
from issuance.foreign_carnets import labels_hash
from issuance.models import attested, foreign_carnet, hand_out
from ledger import canonical
from ledger.columns import metadata
from ledger.models import entry
from ledger.moments import Moment
from ledger.notes import read_key
from ledger.told import Row, first_difference, plain
from redemption.told import TABLES as PLACES
from redemption.told import PlacesTold

# What is compared field by field, and the columns of its key.
TOLD_AGAIN: dict[str, tuple[str, ...]] = {
    **FUNDS,
    **PLACES,
    "tranche_budget": ("tranche",),
    "desk": ("code",),
    "desk_programme": ("desk", "programme"),
    "secret_key": ("key_id",),
    "log_key": ("rank",),
    "log_key_end": ("rank",),
    "witness_policy": ("version",),
    "voucher_order": ("number",),
    "activation": ("order_number",),
    "transfer": ("number",),
    "proof_approval": ("order_number", "kind", "turn"),
    "attestation": ("entry_id",),
}
# Of these only the kind of the entry is looked at here: the audit derives the rest.
OF_KIND = {
    "hand_out": ("handed_out",),
    "attested": ("attestation_filed",),
    "delivery": ("delivered", "transfer_received"),
    "departure": ("transfer_sent", "transfer_received"),
    "handed_out": (
        "handed_out", "carnet_blocked", "stock_blocked", "hand_out_replaced", "misprints_voided",
    ),
    "kept_scan": ("kept",),
    "dispute": ("disputed",),
}  # fmt: skip


def compare_rows(session: Session) -> None:
    """Raise `ImportDiffers` for the first told row that is not what the entries tell."""
    told = _Told()
    told.take(session)
    differs = first_difference(session, told, TOLD_AGAIN)
    if differs is not None:
        path = f"tables/{differs.table}.jsonl"
        raise ImportDiffers(path if differs.column is None else f"{path}: {differs.column}")
    _compare_covers(session, told.covers)
    _compare_attested(session, told.attested)
    for name, expected in OF_KIND.items():
        table = metadata.tables[name]
        odd = (
            select(table.c.entry_id)
            .outerjoin(entry, entry.c.id == table.c.entry_id)
            .where(or_(entry.c.kind.is_(None), entry.c.kind.not_in(expected)))
        )
        if session.execute(odd.limit(1)).first() is not None:
            raise ImportDiffers(f"tables/{name}.jsonl: entry_id")


def _compare_covers(session: Session, expected: dict[int, tuple[str, str]]) -> None:
    """Raise `ImportDiffers` unless the covers of carnets taken over are those that the entries tell by their hash."""
    rows = session.execute(select(foreign_carnet).order_by(foreign_carnet.c.carnet)).all()
    found = defaultdict(list)
    for row in rows:
        if row.found_by != bare(row.label):
            raise ImportDiffers("tables/foreign_carnet.jsonl: found_by")
        found[row.order_number, row.operator].append((row.carnet, row.label))
    told = {(of, operator): labels_hash(labels) for (of, operator), labels in found.items()}
    if told != {(of, operator): digest for of, (operator, digest) in expected.items()}:
        raise ImportDiffers("tables/foreign_carnet.jsonl")


def _compare_attested(session: Session, expected: dict[str, tuple[int, str]]) -> None:
    """Raise `ImportDiffers` unless each attestation covers the hand-outs that its entry tells by their hash."""
    found = defaultdict(list)
    for one, by, on in session.execute(
        select(attested.c.hand_out, attested.c.entry_id, hand_out.c.given_on).join(
            hand_out, hand_out.c.entry_id == attested.c.hand_out
        )
    ):
        found[str(by)].append((on, str(one)))
    told = {
        by: (len(rows), hand_outs_hash([UUID(one) for _, one in sorted(rows)]))
        for by, rows in found.items()
    }
    if told != expected:
        raise ImportDiffers("tables/attested.jsonl")


def compare_figures(session: Session, coffre: verify.Coffre, now: Moment) -> None:
    """Raise `ImportDiffers` unless the books here give the figures that verify.py proved."""
    size = coffre.manifest["size"]
    for name, found in (
        ("balances", figures.balances(session, size)),
        ("splits", figures.splits(session, size)),
        ("claims", figures.claims(session, size, now)),
    ):
        path = f"figures/{name}.json"
        if canonical.encode(found) + b"\n" != coffre.read(path):
            raise ImportDiffers(path)


class _Told(FundsTold, PlacesTold):
    """The rows that the entries tell, of every told table."""

    kinds = (
        FundsTold.kinds
        | PlacesTold.kinds
        | {
            "desk_opened", "keys_made", "log_key_made", "log_key_ended", "policy_set", "order_placed",
            "order_activated", "hand_out_replaced", "order_taken_over", "order_cancelled", "proof_approved",
            "transfer_sent", "misprints_voided", "attestation_filed",
        }
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.covers: dict[int, tuple[str, str]] = {}
        self.attested: dict[str, tuple[int, str]] = {}

    def as_told(self, table: str, row: Row) -> Row:
        if table == "witness_policy":
            row["text"] = sha256(row["text"].encode()).hexdigest()
        return super().as_told(table, row)

    def _desk_opened(self, f: Row, by: Row, _day: str) -> None:
        told = {name: f.get(name) for name in ("prescriber", "name", "siret", "commune")}
        self._add("desk", (f["code"],), by, **told)
        for programme in f["programmes"]:
            self._add("desk_programme", (f["code"], programme), by)

    def _keys_made(self, f: Row, by: Row, _day: str) -> None:
        for key_id, purpose, public in f["keys"]:
            [told] = plain([None if public is None else bytes.fromhex(public)])
            self._add("secret_key", (key_id,), by, purpose=purpose, public=told)

    def _log_key_made(self, f: Row, by: Row, _day: str) -> None:
        key = read_key(f["vkey"])
        [public] = plain([key.public])
        self._add("log_key", (f["rank"],), by, name=key.name, public=public)

    def _log_key_ended(self, f: Row, by: Row, _day: str) -> None:
        self._add("log_key_end", (f["rank"],), by, why=f["why"])

    def _policy_set(self, f: Row, by: Row, _day: str) -> None:
        self._add("witness_policy", (f["version"],), by, text=f["policy_sha256"])

    def _order_placed(self, f: Row, by: Row, _day: str) -> None:
        names = (
            "tranche", "carnets", "first_carnet", "carnet_size", "face_cents", "specimen",
        )  # fmt: skip
        told = {name: f[name] for name in names}
        if "key_id" in f:
            told["key_id"] = f["key_id"]
        self._add("voucher_order", (f["order"],), by, **told)
        self.rows["tranche_budget"][(f["tranche"],)]["reserved_cents"] += f[
            "reserved_cents"
        ]

    def _hand_out_replaced(self, f: Row, by: Row, day: str) -> None:
        self._order_placed(f | {"reserved_cents": 0}, by, day)
        self._order_activated(f, by, day)

    def _order_taken_over(self, f: Row, by: Row, day: str) -> None:
        self._order_placed(f, by, day)
        self._order_activated(f, by, day)
        self.rows["voucher_order"][(f["order"],)]["printed_use_by"] = f["use_by"]
        self.covers[f["order"]] = (f["operator"], f["labels_sha256"])

    def _order_activated(self, f: Row, by: Row, _day: str) -> None:
        told = {
            "basis": f.get("basis", "commitment"),
            "commitment_number": f["commitment_number"],
        }
        self._add("activation", (f["order"],), by, **told)

    def _order_cancelled(self, f: Row, _by: Row, _day: str) -> None:
        self.rows["tranche_budget"][(f["tranche"],)]["reserved_cents"] -= f[
            "released_cents"
        ]

    def _proof_approved(self, f: Row, by: Row, _day: str) -> None:
        turn = self._version("proof", f["order"], f["kind"]) - 1
        names = ("template", "template_version", "template_sha256", "proof_sha256")
        lists = {n: canonical.encode(f[n]).decode() for n in ("publicity", "logos")}
        told = {name: f[name] for name in names} | lists
        self._add("proof_approval", (f["order"], f["kind"], turn), by, **told)

    def _attestation_filed(self, f: Row, by: Row, _day: str) -> None:
        told = {"desk": f["desk"], "from_day": f["from"], "until_day": f["until"]}
        key = (by["entry_id"],)
        self._add("attestation", key, by, sha256=f["sha256"], **told)
        self.attested[by["entry_id"]] = (f["hand_outs"], f["hand_outs_sha256"])

    def _transfer_sent(self, f: Row, by: Row, _day: str) -> None:
        told = {"from_desk": f["from"], "to_desk": f["to"], "carnets": f["count"]}
        self._add("transfer", (f["transfer"],), by, order_number=f["order"], **told)

    def _misprints_voided(self, f: Row, _by: Row, _day: str) -> None:
        budget = self.rows["tranche_budget"][(f["tranche"],)]
        budget["reserved_cents"] -= f["released_cents"]
