"""Every kind of work there is, by name."""

from app.works import order_making, site_lists
from app.works.doing import Kinds

KINDS: Kinds = {
    order_making.KIND: order_making.OrderSteps,
    site_lists.KIND: site_lists.SiteListSteps,
}
