"""Drawing a sample that anyone can draw again, in twenty lines of any language.

From a root, which nobody could choose, and a number of the auditor's own, written in decimal
without leading zeros.  For each counter i = 0, 1, 2, …

    block   SHA-256("passnum sample v1" || root, 32 bytes || number, ASCII || i, 8 bytes, big-endian)
    value   the first 6 bytes of the block, big-endian: below 2⁴⁸, exact in any spreadsheet

A value of the last, incomplete round of the population, ⌊2⁴⁸ / population⌋ · population or more, is
thrown away, so that every place is as likely as any other.  Else `value mod population` is a place
in the population, from 0; one that was drawn before is thrown away too.  The sample is the first
`size` places that are left, in this order: a larger one from the same seed begins with a smaller.

    >>> draw(bytes(32), 7, population=1_000, size=4)
    [826, 630, 703, 11]

Nothing here touches a clock, a database or a network.
"""

from hashlib import sha256

LABEL = b"passnum sample v1"
SPAN = 1 << 48


def draw(root: bytes, number: int, population: int, size: int) -> list[int]:
    """Return `size` places among `population`, each once, in the order in which they are drawn.

    Refuses (ValueError) a sample larger than the population, a root that is not 32 bytes, a
    number below zero.
    """
    if len(root) != 32 or number < 0 or not 0 <= size <= population:
        raise ValueError("no such sample can be drawn")
    drawn: dict[int, None] = {}  # a dict keeps the order
    counter = 0
    while len(drawn) < size:
        seed = LABEL + root + str(number).encode() + counter.to_bytes(8, "big")
        value = int.from_bytes(sha256(seed).digest()[:6], "big")
        if value < SPAN - SPAN % population:
            drawn.setdefault(value % population)
        counter += 1
    return list(drawn)
