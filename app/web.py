"""The web application: who answers what, and how refusals are told."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from litestar import Litestar
from litestar.di import Provide
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from sqlalchemy.exc import DataError, OperationalError

from app.assets import static_files
from app.departements import Departements
from app.errors import broken, closing, failed, malformed, refused, unavailable, unfit
from app.gathering import CounterClosedError
from app.instance import Instance
from app.key_set import KeySet
from app.mediators import Mediators
from app.pages.answers import for_people
from app.pages.attestations import Attestations
from app.pages.departement import Departement
from app.pages.doors import Account, Doors
from app.pages.identities import Identities, OidcDoor
from app.pages.mediator import Mediator
from app.pages.needs import NeedsRoom
from app.pages.order_cycle import OrderCycle
from app.pages.orders import Orders
from app.pages.passkeys import PasskeyDoor, Passkeys
from app.pages.people import People
from app.pages.prescriber import Prescriber
from app.pages.replacement import Replacement
from app.pages.site_imports import SiteImports
from app.pages.stock import StockRoom
from app.pages.stock_counts import StockCounts
from app.pages.taking_over import TakingOver
from app.pages.transfers import Transfers
from app.pages.unused import UnusedRoom
from app.pages.visitors import guard
from app.pages.works import Works
from app.prescribers import Prescribers
from app.proofs.shown import Shown
from app.public import Public
from app.serving import Serving, provide_bearer, provide_serving
from ledger.refusal import Refusal

BODY_MAX = 2_000_000


def create_app(instance: Instance) -> Litestar:
    """Return the application over an instance, which it closes when it stops."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        serving = app.state.serving = Serving(instance)
        await serving.start()
        try:
            yield
        finally:
            await serving.close()

    return Litestar(
        [
            Mediators,
            Prescribers,
            Departements,
            Public,
            Shown,
            KeySet,
            Doors,
            Account,
            PasskeyDoor,
            Passkeys,
            OidcDoor,
            Identities,
            Departement,
            People,
            Orders,
            TakingOver,
            OrderCycle,
            SiteImports,
            Works,
            NeedsRoom,
            Prescriber,
            UnusedRoom,
            StockRoom,
            Transfers,
            StockCounts,
            Attestations,
            Replacement,
            Mediator,
            static_files(),
        ],
        lifespan=[lifespan],
        guards=[guard],
        dependencies={
            "serving": Provide(provide_serving),
            "bearer": Provide(provide_bearer),
        },
        exception_handlers={
            Refusal: for_people(refused),
            ValidationException: for_people(malformed),
            HTTPException: for_people(failed),
            DataError: for_people(unfit),
            OperationalError: for_people(unavailable),
            OverflowError: for_people(unfit),
            Exception: for_people(broken),
            CounterClosedError: for_people(closing),
        },
        openapi_config=OpenAPIConfig(
            title="Pass numérique",
            version=version("passnum"),
            path="/api/description",
            render_plugins=[JsonRenderPlugin(path="/openapi.json")],
            security=[{"bearer": []}],
            components=Components(
                security_schemes={"bearer": SecurityScheme(type="http", scheme="bearer")}
            ),
        ),
        request_max_body_size=BODY_MAX,
    )
