"""Columns of pandas from the fields of typed structures: a column a field, a dot between nested names."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from types import NoneType, UnionType
from typing import Any, ClassVar, Union, get_args, get_origin, get_type_hints

import msgspec
import pandas as pd
from msgspec import Struct

ELSEWHERE = frozenset(  # fields whose content is rows of another frame
    {
        "bytes_sent",
        "messages_sent",
        "bytes_received",
        "bytes_between",
        "peak_memory_bytes",
        "servers_detail",
        "steps_skipped",
        "waited_seconds",
    }
)
COUNTED = frozenset({"deaths", "restarts"})  # fields of which the column says how many
_DTYPES = {int: ("int64", "Int64"), bool: ("bool", "boolean"), float: ("float64", "float64")}  # known, maybe unknown


def columns_of(
    kind: type[Any], values: Sequence[Any], prefix: str = "", *, lacking: bool = False
) -> dict[str, pd.Series[Any]]:
    """Return a column for every field of the structure `kind`; each of the `values` is a row.

    A sequence, a mapping or a mixture is JSON text. `lacking`: some values may be None; their fields are unknown.
    """
    columns: dict[str, pd.Series[Any]] = {}
    for name, hint in get_type_hints(kind).items():
        if name in ELSEWHERE or get_origin(hint) is ClassVar:
            continue
        cells: list[Any] = [None if value is None else getattr(value, name) for value in values]
        first, optional = _unpacked(hint)
        if _nested(first):
            columns |= columns_of(first, cells, f"{prefix}{name}.", lacking=lacking or optional)
            continue
        dtype: Any = "string"
        if name in COUNTED:
            cells, dtype = [len(cell) for cell in cells], "int64"
        elif first in _DTYPES:
            dtype = _DTYPES[first][lacking or optional]
        else:
            cells = [_text(cell) for cell in cells]
        columns[prefix + name] = pd.Series(cells, dtype=dtype)
    return columns


def _unpacked(hint: Any) -> tuple[Any, bool]:
    """The first type of a union, or the type itself, and whether None is in it."""
    if get_origin(hint) not in (Union, UnionType):
        return hint, False
    kinds = get_args(hint)
    return next(kind for kind in kinds if kind is not NoneType), NoneType in kinds


def _nested(kind: Any) -> bool:
    return isinstance(kind, type) and (issubclass(kind, Struct) or dataclasses.is_dataclass(kind))


def _text(cell: Any) -> str | None:
    return cell if cell is None or isinstance(cell, str) else msgspec.json.encode(cell).decode()
