"""Puts the migrations inside a real wheel, as app/migrations; an editable install reads alembic/ in place."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Migrations(BuildHookInterface):
    """A top-level alembic/ in site-packages would land inside the library of that name."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the folder to a standard wheel only: a static force-include leaves a stale copy."""
        if self.target_name == "wheel" and version == "standard":
            build_data["force_include"]["alembic"] = "app/migrations"
