"""Read and write the typed files of `documents.py` and `records.py`.

A failure to read is a ConfigError of one line, with the file, the number of the line, the key as `$.path`, and why.
"""

import json
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import DecodeError, Struct, ValidationError

from common.errors import ConfigError
from common.records.recorder import whole_lines
from experiments.schema.documents import Document
from experiments.schema.records import ServerEvent

T = TypeVar("T", bound=Struct)
D = TypeVar("D", bound=Document)

LONGEST = 200  # characters of an explanation
_DAMAGE = (DecodeError, UnicodeDecodeError, RecursionError)
_MISSING = re.compile(r"Object missing required field `(.+?)`(?: - at `(.*)`)?")
_EVENTS = frozenset(kind.__struct_config__.tag for kind in get_args(ServerEvent))


class _Version(Struct):
    schema: int | None = None


class _Named(Struct):
    event: str


def read_document(path: Path, kind: type[D]) -> D:
    """Return the document in this file. ConfigError if it is missing, damaged or of another schema version."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from None
    try:
        version = _decode(data, _Version).schema
        # The default of `kind` holds for a file without a version.
        if version not in (None, kind.VERSION):
            raise ConfigError(f"{path} has schema {version}; this version reads schema {kind.VERSION}")
        document: D = _decode(data, kind)
    except _DAMAGE as error:
        raise ConfigError(f"{path} {_explain(error, kind, data)}") from None
    return document


def read_lines(path: Path, kind: type[T]) -> tuple[T, ...]:
    """Return all records of a file of lines; see `iter_lines`."""
    return tuple(iter_lines(path, kind))


def iter_lines(path: Path, kind: type[T]) -> Iterator[T]:
    """Yield the records of a file of lines, not a last one that was cut short. ConfigError for a damaged line."""
    yield from _records(path, kind)


def read_events(path: Path) -> Iterator[ServerEvent]:
    """Yield a server's events as `iter_lines` does. Events that a strategy has named itself are passed over."""
    yield from _records(path, ServerEvent)


def write_document(path: Path, document: Struct) -> None:
    """Write the document atomically, as JSON. OSError."""
    write_json(path, to_builtins(document))


def to_builtins(value: Struct) -> dict[str, Any]:
    """Return the structure as JSON values: dicts with text as keys, lists, null for NaN and infinity."""
    return msgspec.json.decode(msgspec.json.encode(value), type=dict[str, Any])


def to_line(value: Struct) -> bytes:
    """Return the structure as a line of JSON, with its newline."""
    return msgspec.json.encode(value) + b"\n"


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def _decode(data: bytes, kind: Any) -> Any:
    """Decode one JSON value. NaN and infinity, which `json.dump` writes although JSON has none, are read as null."""
    try:
        return _decoder(kind).decode(data)
    except ValidationError:
        raise
    except DecodeError:
        if b"NaN" not in data and b"Infinity" not in data:
            raise
        try:
            plain = json.loads(data, parse_constant=lambda name: None)
        except ValueError as error:
            raise DecodeError(str(error)) from None
    return msgspec.convert(plain, kind, str_keys=True)


def _records(path: Path, kind: Any) -> Iterator[Any]:
    try:
        for number, line in enumerate(map(bytes.rstrip, whole_lines(path)), 1):
            if not line:
                continue
            try:
                record = _decode(line, kind)
            except _DAMAGE as error:
                if kind is ServerEvent and _is_foreign(line):
                    continue
                raise ConfigError(f"{path}, line {number} {_explain(error, kind, line)}") from None
            yield record
    except OSError as error:
        raise _unreadable(path, error) from None


def _is_foreign(line: bytes) -> bool:
    """Whether a line is an event that our servers do not write."""
    try:
        return _decode(line, _Named).event not in _EVENTS
    except _DAMAGE:
        return False


def _unreadable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}")


def _explain(error: Exception, kind: Any, data: bytes) -> str:
    """Return the error in words, as the end of a sentence that begins with the place."""
    words = " ".join(str(error).split())
    if not data.strip():
        return "is empty; a JSON object is expected"
    if not isinstance(error, ValidationError):
        return f"is not valid JSON: {_short(words)}"
    if missing := _MISSING.fullmatch(words):
        return f"is damaged: {missing[2] or '$'}.{missing[1]} is missing and must be there"
    what, _, key = words.rpartition(" - at ")
    if not what:
        return f"does not hold a JSON object: {_short(words)}"
    key = key.replace("`", "")
    hints = [get_type_hints(each).get(key.removeprefix("$.")) for each in get_args(kind) or (kind,)]
    allowed = next((get_args(hint) for hint in hints if get_origin(hint) is Literal), ())
    expected = f"; expected {', '.join(map(repr, sorted(allowed)))}" if allowed and what.startswith("Invalid") else ""
    return f"is damaged: {key}: {_short(what)}{expected}"


def _short(words: str) -> str:
    """Return the words of msgspec in a form that follows a colon."""
    words = words.replace("`", "").removeprefix("JSON is malformed: ")
    return words[:1].lower() + words[1:LONGEST] + ("…" if len(words) > LONGEST else "")


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write JSON atomically."""
    part = path.with_suffix(".part")
    try:
        with open(part, "w") as file:
            json.dump(value, file, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)
