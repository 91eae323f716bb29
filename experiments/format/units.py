"""Format bytes, counts and seconds in few digits."""


def human_bytes(value: float) -> str:
    """Return bytes with a unit, rounded: `512 B`, `18.8 KiB`, `1.2 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1000 or unit == "GiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"


def size_name(nbytes: int, space: str = " ") -> str:
    """Return bytes with a unit, exact, so that different sizes look different: `4 KiB`, `25 MiB`, `1000 B`."""
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if nbytes and nbytes % factor == 0:
            return f"{nbytes // factor}{space}{unit}"
    return f"{nbytes}{space}B"


def human_count(value: float) -> str:
    """Return a count in three digits: `950`, `31.2k`, `1.25M`."""
    if abs(value) < 999.5:
        return f"{value:.0f}"
    scaled, unit = (value / 1e3, "k") if abs(value) < 999.5e3 else (value / 1e6, "M")
    return f"{scaled:.{0 if scaled >= 99.95 else 1 if scaled >= 9.995 else 2}f}{unit}"


def human_ms(seconds: float) -> str:
    """Return milliseconds in three digits, without a unit: `0.42`, `5.80`, `12.3`, `950`."""
    value = 1e3 * seconds
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f}"


def human_seconds(seconds: float) -> str:
    """Return seconds in three digits with a unit: `12.3 µs`, `4.56 ms`, `1.23 s`; or all digits of `1,235 s`."""
    for factor, unit in ((1e6, "µs"), (1e3, "ms")):
        if (value := seconds * factor) < 999.5:
            return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} {unit}"
    return f"{seconds:.3g} s" if seconds < 999.5 else f"{seconds:,.0f} s"


def human_deviation(value: float) -> str:
    """Return a relative deviation in one digit: `1e-7`, `2e-1`, `3`, `0`."""
    return f"{value:.0e}".replace("e+00", "").replace("e+0", "e").replace("e-0", "e-")
