"""Parses and formats sizes, rates, durations and broker ids.

Sizes are decimal (1 MB = 1,000,000 bytes), as is usual for the throttles of Kafka and Cruise
Control. Pure; used by the command line and the demo.
"""

import re
from collections.abc import Iterable
from datetime import timedelta

from pydantic import ByteSize, TypeAdapter, ValidationError

_SIZE = TypeAdapter(ByteSize)
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h)?\s*")
_SECONDS_OF = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}


def bytes_of(text: str) -> int:
    """Parses a size such as `100MB`, `1.5GiB` or `250000`, or a rate such as `50MB/s`, into bytes.

    `off` is 0. Raises ValueError, with examples, for anything else.
    """
    bare = text.strip().removesuffix("/s").strip()
    if bare.lower() == "off":
        return 0
    try:
        return int(_SIZE.validate_python(bare))
    except ValidationError:
        raise ValueError(
            f"'{text}' is not a size: write 100MB, 1.5GB, 64MiB or plain bytes"
        ) from None


def seconds_of(text: str) -> float:
    """Parses a duration such as `30`, `30s`, `5m` or `1h` into seconds.

    Raises ValueError, with examples, for anything else.
    """
    found = _DURATION.fullmatch(text)
    if not found:
        raise ValueError(f"'{text}' is not a duration: write 30s, 5m or 1h")
    return float(found[1]) * _SECONDS_OF[found[2]]


def ids_of(text: str) -> list[int]:
    """Parses broker ids such as `11,12,13`. Raises ValueError, with an example, otherwise."""
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise ValueError(f"'{text}' is not a list of broker ids: write 11,12,13") from None


def names_of(text: str) -> list[str]:
    """Parses names such as `az-b,az-a`."""
    return [part.strip() for part in text.split(",") if part.strip()]


def size(count: float) -> str:
    """Formats a size in bytes: 1234567 becomes `1.2 MB`."""
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if abs(count) < 999.95 or unit == "TB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError("unreachable")


def rate(bytes_per_second: float | None) -> str:
    """Formats a rate: 1200000 becomes `1.2 MB/s`; 0 and None become `no limit`."""
    return f"{size(bytes_per_second)}/s" if bytes_per_second else "no limit"


def duration(seconds: float | None) -> str:
    """Formats a duration in seconds: 3725 becomes `1:02:05`, and None becomes `?`."""
    return "?" if seconds is None else str(timedelta(seconds=round(seconds)))


def ids(brokers: Iterable[int]) -> str:
    """Formats broker ids: (11, 12) becomes `11, 12`."""
    return ", ".join(map(str, brokers))


def count(number: int, noun: str) -> str:
    """Formats a number with its noun: `1 replica`, `2 replicas`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
