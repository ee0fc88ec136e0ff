"""What the funders' rules want said on every carnet, by programming period: data, with versions.

`publicity.json` holds the blocks of the European Union and the articles they come from; wording
is never in code.  A block that is out on paper is not changed: it takes the next version.  The
emblem, `europe.svg`, is drawn by us from its geometry.
"""

from collections.abc import Iterable
from datetime import date
from functools import cache
from pathlib import Path

import msgspec

from funding.allocation import Funder, Payer

HOME = Path(__file__).parent
BLOCKS = HOME / "publicity.json"
EMBLEM = HOME / "europe.svg"


class Block(msgspec.Struct, frozen=True, rename={"from_day": "from"}):
    """What the Union asks of one programming period, for some of its funds."""

    id: str
    version: int
    funders: tuple[Funder, ...]
    from_day: date
    until: date
    statement: str
    sentence: str
    under_emblem: str
    source: str

    @property
    def named(self) -> str:
        """The block and its version, as entries and manifests name it."""
        return f"{self.id}/{self.version}"


@cache
def blocks() -> tuple[Block, ...]:
    """Return the blocks there are."""
    return msgspec.json.decode(BLOCKS.read_bytes(), type=_File).blocks


class _File(msgspec.Struct, frozen=True):
    blocks: tuple[Block, ...]


def needed(payers: Iterable[Payer]) -> list[Block]:
    """Return the blocks that these co-funders ask for, each once.

    A fund that lives in several periods asks for the block of the one in which its window
    opens; a window that opens after all of them, for the last.
    """
    wanted: dict[str, Block] = {}
    for payer in payers:
        own = [block for block in blocks() if payer.funder in block.funders]
        if own:
            block = next((b for b in own if payer.since <= b.until), own[-1])
            wanted[block.id] = block
    return list(wanted.values())
