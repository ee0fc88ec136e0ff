"""What a running server holds: the instance, the gathered counters, the recognised tokens."""

import asyncio
from collections.abc import Sequence

from litestar import Request
from litestar.datastructures import State
from litestar.di import NamedDependency

from app.database import Database, PostgresPlace
from app.devices import Bearer, Bearers, NotSignedIn, bearer_token, departement_of
from app.gathering import Gatherer, Hand
from app.guessing import Guesses
from app.hands import LoopHand, ThreadHand
from app.instance import Instance
from app.loop_database import LoopDatabase
from app.proofs.signing import signature_headers
from app.registry import MalformedDepartement, UnknownDepartement
from redemption.counter import Presented, Verdict


class Serving:
    """One for the life of a web process, made on its event loop; closed when the server stops."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.bearers = Bearers()
        self.guesses = Guesses()
        self._loop = asyncio.get_running_loop()
        self._gatherers: dict[str, Gatherer] = {}
        self._loop_database = _loop_database(instance.database)

    async def start(self) -> None:
        """Sequence what a crash may have left waiting, where no sequencer runs apart."""
        if self._loop_database is None:
            working = self.instance.database.working_departements
            for tenant in await asyncio.to_thread(working):
                self.gatherer(tenant.code).nudge()

    def gatherer(self, code: str) -> Gatherer:
        """Return the counter of a département, made when it is first needed; on the loop alone."""
        if code not in self._gatherers:
            self._gatherers[code] = Gatherer(self._hand(code))
        return self._gatherers[code]

    def _hand(self, code: str) -> Hand:
        if self._loop_database is None:
            return ThreadHand(self.instance, code)
        return LoopHand(self.instance, code, self._loop_database)

    async def redeem(self, code: str, queue: Sequence[Presented]) -> list[Verdict]:
        """Judge the scans of one device, gathered with those of others that wait.

        Raises `TooManyGuesses` for a device that keeps sending what is no pass.
        """
        device = queue[0].device.id
        self.guesses.check(device)
        verdicts = await self.gatherer(code).submit(queue)
        self.guesses.count(device, verdicts)
        return verdicts

    async def signature(self, code: str, body: bytes) -> dict[str, str]:
        """Return the headers by which the log signs an answer; none where it has no key at hand."""
        signers = await self.instance.log_signers.soon(code)
        return (
            signature_headers(body, signers[0], at=self.instance.clock()) if signers else {}
        )

    def committed(self, code: str) -> None:
        """Have what was just committed in a thread sequenced soon, where no sequencer runs apart."""
        if self._loop_database is None:
            self._loop.call_soon_threadsafe(lambda: self.gatherer(code).nudge())

    async def bearer(self, token: str) -> Bearer:
        """Return who presents a token, or raise `NotSignedIn`."""
        known = self.bearers.recall(token)
        if known is not None:
            return known
        return await asyncio.to_thread(self._look_up, token)

    def _look_up(self, token: str) -> Bearer:
        code = departement_of(token)
        try:
            self.instance.departement(code)
        except (UnknownDepartement, MalformedDepartement):
            raise NotSignedIn from None
        with self.instance.database.begin(code, read_only=True) as session:
            return self.bearers.look_up(session, code, token)

    async def close(self) -> None:
        """Answer what waits, then let go of everything."""
        for gatherer in list(self._gatherers.values()):
            await gatherer.close()
        if self._loop_database is not None:
            await self._loop_database.close()
        await asyncio.to_thread(self.instance.close)


def _loop_database(database: Database) -> LoopDatabase | None:
    place = database.place
    return LoopDatabase(database, place) if isinstance(place, PostgresPlace) else None


async def provide_bearer(
    request: Request[None, None, State], serving: NamedDependency[Serving]
) -> Bearer:
    """Return who calls, from the Authorization header, or raise `NotSignedIn`."""
    token = bearer_token(request.headers.get("authorization", ""))
    if token is None:
        raise NotSignedIn
    return await serving.bearer(token)


async def provide_serving(state: State) -> Serving:
    """Return what this server holds."""
    serving: Serving = state.serving
    return serving
