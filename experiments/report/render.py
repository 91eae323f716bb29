"""A report as one HTML file: nothing outside of it is needed to read it, and nothing in it runs."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from experiments.report.build import Report


def render(report: Report) -> str:
    """The page. All text is escaped."""
    environment = Environment(
        loader=PackageLoader("experiments.report", "template"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html").render(report=report)


def write(report: Report, file: Path) -> int:
    """Write the page, whole or not at all; returns its size in bytes. OSError."""
    text = render(report).encode()
    part = file.with_name(file.name + ".part")
    try:
        part.write_bytes(text)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    return len(text)
