"""What a running server holds: the instance, the gathered counters, the recognised tokens."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from litestar import Request
from litestar.datastructures import State
from litestar.di import NamedDependency

from app.devices import Bearer, Bearers, NotSignedIn, bearer_token, departement_of
from app.gathering import Gatherer
from app.guessing import Guesses
from app.instance import Instance
from app.proofs.signing import signature_headers
from app.registry import MalformedDepartement, UnknownDepartement
from redemption.counter import Presented, Verdict, redeem
from redemption.facts import Standing


class Serving:
    """One for the life of a web process; closed when the server stops."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.bearers = Bearers()
        self.guesses = Guesses()
        self._gatherers: dict[str, Gatherer] = {}
        self._lock = threading.Lock()
        self._on_postgres = instance.database.place.sequencer_is_apart

    def start(self) -> None:
        """Sequence what a crash may have left waiting, where no sequencer runs apart."""
        for tenant in self.instance.database.working_departements():
            self.committed(tenant.code)

    def gatherer(self, code: str) -> Gatherer:
        """Return the counter of a département, made when it is first needed."""
        with self._lock:
            if code not in self._gatherers:
                standing = Standing()
                self._gatherers[code] = Gatherer(
                    code,
                    lambda scans: self._redeem(code, scans, standing),
                    threads=2 if self._on_postgres else 1,
                    after=None if self._on_postgres else lambda: self.instance.step(code),
                )
            return self._gatherers[code]

    async def redeem(self, code: str, queue: Sequence[Presented]) -> list[Verdict]:
        """Judge the scans of one device, gathered with those of others that wait.

        Raises `TooManyGuesses` for a device that keeps sending what is no pass.
        """
        device = queue[0].device.id
        self.guesses.check(device)
        verdicts = await self.gatherer(code).submit(queue)
        self.guesses.count(device, verdicts)
        return verdicts

    @contextmanager
    def _redeem(
        self, code: str, scans: Sequence[Presented], standing: Standing
    ) -> Iterator[list[Verdict]]:
        """Judge, and commit at the end of the block."""
        now = self.instance.moment(code)
        ring = self.instance.keyring(code)
        with self.instance.database.begin(code) as session:
            yield redeem(session, scans, now=now, keyring=ring, standing=standing)

    async def signature(self, code: str, body: bytes) -> dict[str, str]:
        """Return the headers by which the log signs an answer; none where it has no key at hand."""
        signers = self.instance.known_log_signers(code)
        if signers is None:
            signers = await asyncio.to_thread(self.instance.log_signers, code)
        return (
            signature_headers(body, signers[0], at=self.instance.clock()) if signers else {}
        )

    def committed(self, code: str) -> None:
        """Have what was just committed sequenced soon, where no sequencer runs apart."""
        if not self._on_postgres:
            self.gatherer(code).nudge()

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

    def close(self) -> None:
        """Answer what waits, then let go of everything."""
        for gatherer in self._gatherers.values():
            gatherer.close()
        self.instance.close()


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
