"""A report as one HTML file: nothing outside of it is needed to read it, and nothing in it runs."""

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from experiments.format.table import html_table
from experiments.report.build import Report


def render(report: Report) -> str:
    """Return the page. All text is escaped."""
    environment = Environment(
        loader=PackageLoader("experiments.report", "template"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["html"] = lambda table: Markup(html_table(table))
    return environment.get_template("report.html").render(report=report)


def write(report: Report, file: Path) -> int:
    """Write the page, whole or not at all; return its size in bytes. OSError."""
    text = render(report).encode()
    part = file.with_name(file.name + ".part")
    try:
        part.write_bytes(text)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    return len(text)
