"""When something is: an instant, and the civil day it falls on in the département."""

from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from zoneinfo import ZoneInfo


@dataclass(frozen=True)
class Moment:
    """An instant seen from a département: La Réunion is not Lille.

    The edge reads the clock once and passes this down; no rule reads a clock.
    """

    at: datetime
    zone: ZoneInfo

    def __post_init__(self) -> None:
        """Refuse a naive datetime."""
        if self.at.tzinfo is None:
            raise ValueError("a naive datetime is not an instant")

    @cached_property
    def day(self) -> date:
        """The civil day there; a legal date includes its whole day."""
        return self.at.astimezone(self.zone).date()
