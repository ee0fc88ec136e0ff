"""Numbers of carnets as people say them: from 120 to 134, and 136.

Ranges are pairs, both ends included, in ascending order, none touching the next: one set of numbers
has one spelling, in an entry as on a page.

    >>> ranges_of([136, 121, 120, 122])
    ((120, 122), (136, 136))
    >>> written(((120, 122), (136, 136)))
    '120-122, 136'
    >>> sorted(numbers_of(((120, 122), (136, 136))))
    [120, 121, 122, 136]
"""

from collections.abc import Iterable, Iterator

Ranges = tuple[tuple[int, int], ...]


def ranges_of(numbers: Iterable[int]) -> Ranges:
    """Return a set of numbers as ranges."""
    found: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return tuple(found)


def numbers_of(ranges: Iterable[tuple[int, int]]) -> Iterator[int]:
    """Yield the numbers of ranges."""
    for first, last in ranges:
        yield from range(first, last + 1)


def count_of(ranges: Iterable[tuple[int, int]]) -> int:
    """Return how many numbers ranges hold."""
    return sum(last - first + 1 for first, last in ranges)


def in_order(ranges: Ranges) -> bool:
    """Tell whether ranges are spelt in the one way there is."""
    ends = (0, *(last + 1 for _, last in ranges))
    return all(
        before < first <= last for before, (first, last) in zip(ends, ranges, strict=False)
    )


def read_ranges(told: Iterable[Iterable[int]]) -> Ranges:
    """Return ranges as an entry tells them: lists of two."""
    return tuple((first, last) for first, last in told)


def written(ranges: Iterable[tuple[int, int]]) -> str:
    """Return ranges as people read and type them."""
    return ", ".join(
        str(first) if first == last else f"{first}-{last}" for first, last in ranges
    )
