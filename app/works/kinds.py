"""Every kind of work there is, by name."""

from app.works import site_lists
from app.works.doing import Kinds

KINDS: Kinds = {site_lists.KIND: site_lists.SiteListSteps}
