"""A small file put in the place of another: the old one or the new one, whole, whatever happens."""

import os
from pathlib import Path


def replace_file(path: Path, text: str) -> None:
    """Write a file beside its place and move it there; it is on the disk when this returns.

    Raises OSError; what stood there before then still stands.
    """
    beside = path.with_name(path.name + ".new")
    with beside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
