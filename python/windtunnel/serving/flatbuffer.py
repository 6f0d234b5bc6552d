"""Just enough of flatbuffers to read a table of a client's, every offset held to the buffer."""

from __future__ import annotations

import struct
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

_MOST = 2**16  # tables of one vector


class MalformedError(ValueError):
    """The bytes are no flatbuffer, or not of the tables that were expected."""


class Table(NamedTuple):
    """A table at a place of a buffer; its fields are known by their numbers.

    Every method raises `MalformedError` or `struct.error` where the buffer does not hold what it
    says, and reads nothing outside it.
    """

    buffer: bytes
    at: int

    @classmethod
    def root(cls, buffer: bytes) -> Self:
        """The table that the whole buffer is."""
        (at,) = struct.unpack_from("<I", buffer, 0)
        return cls(buffer, at)

    def has(self, field: int) -> bool:
        """Whether the field is there; one that is not has its default."""
        return self._place(field) != 0

    def integer(self, field: int, form: str) -> int:
        """An integer in the form of `struct`; 0 when it is not there."""
        at = self._place(field)
        if not at:
            return 0
        value: int = struct.unpack_from(form, self.buffer, at)[0]
        return value

    def table(self, field: int) -> Table:
        """A table within."""
        at = self._place(field)
        if not at:
            raise MalformedError(f"field {field} is missing")
        return Table(self.buffer, self._follow(at))

    def tables(self, field: int) -> list[Table]:
        """A vector of tables; empty when it is not there."""
        at, count = self._vector(field, 4)
        if count > _MOST:
            raise MalformedError(f"{count} tables are too many")
        return [Table(self.buffer, self._follow(at + 4 * i)) for i in range(count)]

    def pairs(self, field: int) -> npt.NDArray[np.int64]:
        """A vector of structs of two 64-bit integers, as (n, 2)."""
        at, count = self._vector(field, 16)
        if not count:
            return np.empty((0, 2), np.int64)
        return np.frombuffer(self.buffer, "<i8", 2 * count, at).reshape(-1, 2)

    def string(self, field: int) -> str:
        """A string; empty when it is not there."""
        at, count = self._vector(field, 1)
        try:
            return self.buffer[at : at + count].decode()
        except UnicodeDecodeError:
            raise MalformedError(f"field {field} is no text") from None

    def _place(self, field: int) -> int:
        """Where the field is in the buffer, 0 when it is not there."""
        (back,) = struct.unpack_from("<i", self.buffer, self.at)
        table = self.at - back
        if not 0 <= table <= len(self.buffer) - 4:
            raise MalformedError("a table is without its directory")
        (size,) = struct.unpack_from("<H", self.buffer, table)
        entry = 4 + 2 * field
        if entry + 2 > size:
            return 0
        offset: int = struct.unpack_from("<H", self.buffer, table + entry)[0]
        return self.at + offset if offset else 0

    def _follow(self, at: int) -> int:
        offset: int = struct.unpack_from("<I", self.buffer, at)[0]
        return at + offset

    def _vector(self, field: int, item: int) -> tuple[int, int]:
        """First byte and number of items of a vector."""
        at = self._place(field)
        if not at:
            return 0, 0
        at = self._follow(at)
        count: int = struct.unpack_from("<I", self.buffer, at)[0]
        at += 4
        if at + count * item > len(self.buffer):
            raise MalformedError("a vector is cut off")
        return at, count
