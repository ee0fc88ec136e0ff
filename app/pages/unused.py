"""A desk's room: the carnets that it handed out and that nobody has used, to be called about."""

from litestar import Controller, Response, get

from app.pages.frame import Asked, now_of, page, reading, serving_of, visitor_of
from app.people.roles import Action
from issuance.foreign_carnets import covers_of
from redemption.unused import unused_carnets


class UnusedRoom(Controller):
    """What someone at a desk does when there is no queue."""

    path = "/{departement:str}/rappels"
    include_in_schema = False

    @get("/", opt={"door": Action.HAND_OUT}, sync_to_thread=True)
    def unused(self, request: Asked) -> Response[str]:
        """List the carnets of this visitor's own desks and programmes; another's are not told."""
        visitor = visitor_of(request)
        weeks = serving_of(request).instance.settings.unused_weeks
        with reading(request) as session:
            waiting = unused_carnets(
                session, weeks=weeks, on=now_of(request).day, desks=visitor.desks
            )
            covers = covers_of(session, [u.carnet for u in waiting])
        found = [u for u in waiting if visitor.sees(Action.HAND_OUT, u.programme)]
        return page(
            request,
            "unused.html",
            found=found,
            covers=covers,
            weeks=weeks,
            desks=visitor.desks,
        )
