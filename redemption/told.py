"""What the entries tell of places: sites, accreditations, workshops; told again from their bodies alone."""

from types import SimpleNamespace
from typing import cast

from issuance.siret import is_siret
from ledger import canonical
from ledger.told import Row, Told
from redemption.mednum import SiteFacts
from redemption.sites import departement_of

# What is compared, and the columns of its key.
TABLES = {
    "site": ("number",),
    "accreditation": ("site", "programme", "number"),
    "workshop": ("id",),
}


class PlacesTold(Told):
    """The rows of these tables."""

    kinds = frozenset({"site_kept", "accredited", "accreditation_ended", "workshop_opened"})

    def as_told(self, table: str, row: Row) -> Row:
        """Return a stored row with its JSON as it is written today: what it says is compared, not its spaces."""
        if table != "site":
            return row
        try:
            details = canonical.decode(row["details"].encode())
        except ValueError:
            return row  # nobody told that
        return row | {"details": canonical.encode(details).decode()}

    def _site_kept(self, f: Row, by: Row, _day: str) -> None:
        told = f["details"]
        insee, postcode = told["code_insee"] or None, told["code_postal"]
        where = SimpleNamespace(code_insee=insee, code_postal=postcode)
        self._add(
            "site",
            (f["site"],),
            by,
            national_id=told["id"],
            siret=told["pivot"] if is_siret(told["pivot"]) else None,
            name=told["nom"],
            commune=told["commune"],
            postcode=postcode,
            insee=insee,
            departement=departement_of(cast("SiteFacts", where)),
            details=canonical.encode(told).decode(),
            updated_on=told["date_maj"],
        )

    def _accredited(self, f: Row, by: Row, _day: str) -> None:
        of = (f["site"], f["programme"])
        number = self._version("accredited", *of) - 1
        before = self.rows["accreditation"].get((*of, number - 1))
        self._add(
            "accreditation",
            (*of, number),
            by,
            valid_from=f["valid_from"],
            valid_until=f["valid_until"],
            previous=None if before is None else number - 1,
            previous_until=None if before is None else before["valid_until"],
            ended_for=None,
        )

    def _accreditation_ended(self, f: Row, _by: Row, _day: str) -> None:
        of = (f["site"], f["programme"])
        rows = self.rows["accreditation"]
        for number in f.get("ended", [self._versions["accredited", *of] - 1]):
            rows[*of, number] |= {"valid_until": f["last_day"], "ended_for": f["reason"]}
            if (following := rows.get((*of, number + 1))) is not None:
                following["previous_until"] = f["last_day"]

    def _workshop_opened(self, f: Row, by: Row, day: str) -> None:
        told = {name: f[name] for name in ("site", "kind", "service")}
        self._add("workshop", (f["workshop"],), by, day=day, **told)
