"""Reads a flatbuffer without trusting it: every offset is checked before it is followed.

The layout is that of the FlatBuffers "internals" page: a table starts with a signed offset back to its
vtable, which holds its own size, the table's size and an offset for each field (0 = absent); strings, vectors
and tables are reached by unsigned offsets forward.
"""

from __future__ import annotations

from struct import calcsize, unpack_from

from edge_ser.errors import ModelError


class Flatbuffer:
    """The bytes, and how many vector items may still be visited (shared offsets could make a tangle)."""

    def __init__(self, data: bytes, name: str) -> None:
        self.data = data
        self.name = name
        self.items_left = 16 * len(data)  # writers share equal vectors, within reason

    def root(self, identifier: bytes) -> Table:
        """The root table of a buffer that carries ``identifier`` at byte 4."""
        self.check(
            len(self.data) >= 8 and self.data[4:8] == identifier, f"carries no {identifier.decode()} mark", 4
        )
        return Table(self, unpack_from("<I", self.data)[0], "root")

    def check(self, good: bool, what: str, position: int) -> None:
        """Raise ModelError unless ``good``."""
        if not good:
            where = f"the graph is damaged or not allowed at byte {position} ({what})"
            raise ModelError(f"{self.name}: {where}; copy or download the file again")


class Table:
    """One table; ``path`` names it in errors. Fields are numbered as the schema declares them."""

    __slots__ = ("_buffer", "_position", "_size", "_vtable", "_vtable_size", "path")

    def __init__(self, buffer: Flatbuffer, position: int, path: str) -> None:
        self._buffer, self._position, self.path = buffer, position, path
        end = len(buffer.data)
        self.check(position % 4 == 0 and 4 <= position <= end - 4, "lies outside")
        self._vtable = position - int(unpack_from("<i", buffer.data, position)[0])
        self.check(self._vtable % 2 == 0 and 0 <= self._vtable <= end - 4, "has its vtable outside")
        self._vtable_size, self._size = unpack_from("<HH", buffer.data, self._vtable)
        self.check(
            self._vtable_size % 2 == 0 and 4 <= self._vtable_size <= end - self._vtable, "has a bad vtable"
        )
        self.check(4 <= self._size <= end - position, "reaches over the end")

    def check(self, good: bool, what: str) -> None:
        """Raise ModelError naming this table unless ``good``."""
        if not good:
            self._buffer.check(False, f"{self.path} {what}", self._position)

    def has(self, field: int) -> bool:
        """Whether the field is stored."""
        return self._slot(field, 1) is not None

    def scalar(self, field: int, layout: str, default: int = 0) -> int:
        """An integer (struct ``layout``), or ``default`` when it is not stored."""
        at = self._slot(field, calcsize(layout))
        return default if at is None else int(unpack_from("<" + layout, self._buffer.data, at)[0])

    def table(self, field: int, path: str) -> Table | None:
        """A sub-table, None when absent."""
        at = self._slot(field, 4)
        return None if at is None else self._table_at(at, path)

    def tables(self, field: int, path: str) -> list[Table]:
        """A vector of tables; an absent one is empty."""
        start, n = self.vector(field, 4)
        self._visit(n)
        return [self._table_at(start + 4 * i, f"{path} {i}") for i in range(n)]

    def numbers(self, field: int, layout: str) -> tuple[float, ...]:
        """A vector of numbers of one struct ``layout``; an absent one is empty."""
        start, n = self.vector(field, calcsize(layout))
        self._visit(n)
        return unpack_from(f"<{n}{layout}", self._buffer.data, start)

    def integers(self, field: int, layout: str = "i") -> tuple[int, ...]:
        """A vector of integers; an absent one is empty."""
        return tuple(int(value) for value in self.numbers(field, layout))

    def vector(self, field: int, item_bytes: int) -> tuple[int, int]:
        """Where the first item of a vector lies, and how many there are; (0, 0) when absent."""
        at = self._slot(field, 4)
        if at is None:
            return 0, 0
        position = self._follow(at, f"field {field}")
        n = int(unpack_from("<I", self._buffer.data, position)[0])
        start = position + 4
        self.check(start % min(item_bytes, 8) == 0, f"field {field} is not aligned")
        self.check(n * item_bytes <= len(self._buffer.data) - start, f"field {field} reaches over the end")
        return start, n

    def check_string(self, field: int) -> None:
        """A string, when stored, must lie inside and end with a NUL."""
        start, n = self.vector(field, 1)
        if start:
            end = start + n
            self.check(self._buffer.data[end : end + 1] == b"\0", f"field {field} is no string")

    def _slot(self, field: int, n_bytes: int) -> int | None:
        entry = 4 + 2 * field
        if entry + 2 > self._vtable_size:
            return None
        offset = int(unpack_from("<H", self._buffer.data, self._vtable + entry)[0])
        if offset == 0:
            return None
        at = self._position + offset
        self.check(4 <= offset <= self._size - n_bytes and at % n_bytes == 0, f"has field {field} outside")
        return at

    def _follow(self, at: int, path: str) -> int:
        target = at + int(unpack_from("<I", self._buffer.data, at)[0])
        self.check(target % 4 == 0 and target <= len(self._buffer.data) - 4, f"{path} points outside")
        return target

    def _table_at(self, at: int, path: str) -> Table:
        return Table(self._buffer, self._follow(at, path), path)

    def _visit(self, n: int) -> None:
        self._buffer.items_left -= n
        self.check(self._buffer.items_left >= 0, "is part of a tangle of shared vectors")
