"""For the département's own readers: reconciliations."""

from datetime import date
from types import MappingProxyType
from typing import Any

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from app.devices import Bearer
from app.people.roles import Door
from app.reconciliations import as_json
from app.serving import Serving
from redemption.reconciliation import reconcile


class Departements(Controller):
    """What a manager, an accountant or an auditor of the département reads."""

    opt = MappingProxyType({"door": Door.BEARER})
    path = "/api/v1/reconciliations"

    @get("/", sync_to_thread=True)
    def every(
        self,
        bearer: NamedDependency[Bearer],
        serving: NamedDependency[Serving],
        call: FromQuery[str | None] = None,
        as_of: FromQuery[date | None] = None,
        known_by: FromQuery[date | None] = None,
        log_size: FromQuery[int | None] = None,
    ) -> dict[str, Any]:
        """Reconcile all tranches, or those of a call, with their sum; the bounds are those of one."""
        return self._reconciled(bearer, serving, None, call, as_of, known_by, log_size)

    @get("/{tranche:str}", sync_to_thread=True)
    def one(
        self,
        tranche: FromPath[str],
        bearer: NamedDependency[Bearer],
        serving: NamedDependency[Serving],
        as_of: FromQuery[date | None] = None,
        known_by: FromQuery[date | None] = None,
        log_size: FromQuery[int | None] = None,
    ) -> dict[str, Any]:
        """Reconcile one tranche; `as_of` is a day in the world, `known_by` one of the books.

        Instead of a day of the books, `log_size` says how many entries of the log count.
        """
        return self._reconciled(bearer, serving, tranche, None, as_of, known_by, log_size)

    def _reconciled(
        self,
        bearer: Bearer,
        serving: Serving,
        tranche: str | None,
        call: str | None,
        as_of: date | None,
        known_by: date | None,
        log_size: int | None,
    ) -> dict[str, Any]:
        bearer.be("departement")
        code = bearer.departement
        with serving.instance.database.begin(code, read_only=True) as session:
            found = reconcile(
                session,
                now=serving.instance.moment(code),
                tranche=tranche,
                call=call,
                as_of=as_of,
                known_by=known_by,
                log_size=log_size,
            )
        told: dict[str, Any] = as_json(found, call)
        return told
