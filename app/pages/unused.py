"""A desk's room: the carnets that it handed out and that nobody has used, to be called about."""

from litestar import Controller, Response, get

from app.pages.frame import Asked, now_of, page, reading, serving_of, visitor_of
from app.people.roles import Action
from redemption.unused import unused_carnets


class UnusedRoom(Controller):
    """What someone at a desk does when there is no queue."""

    path = "/{departement:str}/rappels"
    include_in_schema = False

    @get("/", opt={"door": Action.HAND_OUT}, sync_to_thread=True)
    def unused(self, request: Asked) -> Response[str]:
        """List the carnets of this visitor's own desks; another's are not told."""
        desks = visitor_of(request).desks
        weeks = serving_of(request).instance.settings.unused_weeks
        with reading(request) as session:
            found = unused_carnets(
                session, weeks=weeks, on=now_of(request).day, desks=desks
            )
        return page(request, "unused.html", found=found, weeks=weeks, desks=desks)
