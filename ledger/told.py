"""Tables against the journal: rows told again from the bodies of the entries alone, and compared.

A table that entries make is convenient, and may be altered beside them.  A `Told` takes entries in
one by one, in the order of the log, and keeps the rows that they tell, as plain values; what they
do not tell is not in them.  `differences` compares both ways: a row without its entry, an entry
without its row, one field that is another.
"""

from collections import Counter, defaultdict
from collections.abc import Generator, Iterable, Mapping
from contextlib import closing
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import CompoundSelect, Select, select
from sqlalchemy.orm import Session

from ledger import canonical
from ledger.columns import metadata
from ledger.models import entry, log_leaf, pending

Row = dict[str, Any]
Key = tuple[Any, ...]

CHUNK = 2_000


class Told:
    """The rows that entries tell, by table and key.

    A subclass has a method for each kind of entry that it takes in, `_tranche_opened(facts, by,
    day)`, and names them in `kinds`; `by` is the column that a row has of its entry.
    """

    kinds: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self.rows: dict[str, dict[Key, Row]] = defaultdict(dict)
        # The place in the log of each entry taken in that has one.
        self.places: dict[str, int] = {}
        self._versions: Counter[Key] = Counter()

    def take(
        self, session: Session, only: Select[Any] | CompoundSelect[Any] | None = None
    ) -> None:
        """Take in every entry of these kinds: those of the log in its order, then those that wait for it.

        `only` is a query of ids: those entries alone, without a look at the others.
        """
        chosen = [entry.c.kind.in_(self.kinds)]
        if only is not None:
            chosen.append(entry.c.id.in_(only))
        rows = session.execute(
            select(log_leaf.c.idx, entry.c.kind, entry.c.body)
            .outerjoin_from(entry, log_leaf, log_leaf.c.entry_id == entry.c.id)
            .outerjoin(pending, pending.c.entry_id == entry.c.id)
            .where(*chosen)
            .order_by(log_leaf.c.idx.nulls_last(), pending.c.seq)
            .execution_options(yield_per=CHUNK)
        )
        for idx, kind, body in rows:
            told = canonical.decode(body)
            if idx is not None:
                self.places[told["id"]] = idx
            getattr(self, f"_{kind}")(told["facts"], {"entry_id": told["id"]}, told["on"])

    def as_told(self, _table: str, row: Row) -> Row:
        """Return a stored row as an entry can tell it: the same, unless entries tell it by its hash."""
        return row

    def _add(self, table: str, key: Key, made_by: Row, **row: Any) -> None:  # noqa: ANN401
        self.rows[table][key] = row | made_by

    def _version(self, *of: Any) -> int:  # noqa: ANN401
        self._versions[of] += 1
        return self._versions[of]


class Difference(NamedTuple):
    """A row that is not as told; `column` is None for one too many or one too few."""

    table: str
    key: Key
    column: str | None


def differences(
    session: Session, told: Told, tables: Mapping[str, tuple[str, ...]]
) -> Generator[Difference]:
    """Yield what differs in these tables, each named with the columns of its key."""
    for name, key_columns in tables.items():
        table = metadata.tables[name]
        missing = dict(told.rows[name])
        names = [column.name for column in table.columns]
        rows = session.execute(select(table).execution_options(yield_per=CHUNK))
        # Whoever stops at the first difference leaves no cursor open.
        with rows:
            for values in rows:
                row = told.as_told(name, dict(zip(names, plain(values), strict=True)))
                key = tuple(row[column] for column in key_columns)
                expected = missing.pop(key, None)
                if expected is None:
                    yield Difference(name, key, None)
                    continue
                for column, value in expected.items():
                    if row[column] != value:
                        yield Difference(name, key, column)
        for key in missing:
            yield Difference(name, key, None)


def first_difference(
    session: Session, told: Told, tables: Mapping[str, tuple[str, ...]]
) -> Difference | None:
    """Return the first of the differences, for whoever refuses at one."""
    with closing(differences(session, told, tables)) as found:
        return next(found, None)


def plain(values: Iterable[Any]) -> list[Any]:
    """Return values as JSON can tell them."""
    return [msgspec.to_builtins(value, builtin_types=()) for value in values]
