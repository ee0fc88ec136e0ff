"""The words of click itself, "Usage:" and "No such command", in French: it brings English alone."""

from click import core, decorators, exceptions, formatting, parser, termui, types

from app.messages import read_catalogue


def speak_french() -> None:
    """Have click take its words from our catalogue, in this process; what is not there stays English.

    click asks `gettext`, which reads compiled files of the whole system and the locale of the
    terminal: neither is ours.  Each of its modules has these two functions under these names.
    """
    catalogue = read_catalogue("fr", "click")
    for module in (core, decorators, exceptions, formatting, parser, termui, types):
        for name, found in (("_", catalogue.gettext), ("ngettext", catalogue.ngettext)):
            if hasattr(module, name):
                setattr(module, name, found)
