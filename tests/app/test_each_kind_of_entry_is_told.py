"""The formats tell each kind of entry that the log may hold."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
WRITERS = ("app", "redemption", "issuance", "funding", "ledger")
# An entry is asked for by its kind, and what a person does is noted by it; other kinds are replayed.
WRITTEN = re.compile(
    r'(?:\.entry\(|\bnote\(session,)\s*"([a-z_]+)"|def _on_(?!other\b)([a-z_]+)\('
)


def test_each_kind_is_in_the_list_of_the_formats():
    formats = (ROOT / "docs" / "formats.md").read_text("utf-8")
    [told] = re.findall(
        r"^Sortes \(`kind`\)\s*: (.+?)\.\n\n", formats, re.DOTALL | re.MULTILINE
    )
    written = {
        kind
        for folder in WRITERS
        for path in (ROOT / folder).rglob("*.py")
        for found in WRITTEN.findall(path.read_text("utf-8"))
        for kind in found
        if kind
    }

    assert {"redeemed", "print_batch_made", "signed_in"} <= written
    assert written - set(re.findall(r"`([a-z_]+)`", told)) == set()
