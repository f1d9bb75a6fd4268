"""How much memory a file may ask for: counted before it is taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jaxinv._core import checks
from jaxinv.sweeps.store._rows import StoreError

MOST_BYTES = 2**30
BYTES_OF_A_ROW = 700  # of Python objects, beside its own content
BYTES_OF_A_PLACE = 150  # one missing block, as a cell and a number


class Budget:
    """What is left of the bytes that the content of a store may take in memory."""

    def __init__(self, path: Path, most: Any = MOST_BYTES) -> None:
        self._path = path
        self._most = self.left = checks.count("store", "max_bytes", most, maximum=2**62)

    def take(self, num_bytes: int) -> None:
        """Take bytes; refuses more than are left."""
        self.left -= num_bytes
        if self.left < 0:
            raise StoreError(
                f"store {self._path} asks for more than {self._most} bytes of memory, by what it "
                "says of itself or by its rows. Where you trust it, give open, verify, merge or "
                "export a larger max_bytes; a sweep allows what it is itself asked for."
            )
