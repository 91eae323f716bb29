"""The commands that repeat the runs of a report, complete, to be pasted into a shell."""

import dataclasses
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent
from typing import Any

import yaml

from common.errors import ConfigError
from experiments.config import RunOptions
from experiments.format.units import size_name
from experiments.runs.run import Run
from experiments.sweep.parse import load, read

AGAIN = "results/again"  # where runs that are repeated by hand meet


@dataclass(frozen=True)
class Command:
    """A command: what it does, in words, and the text to paste. Without a text, `about` says why."""

    about: str
    text: str = ""


def run_words(config: Mapping[str, Any], *more: str) -> list[str]:
    """Return the words of `syncbench run` that lead to the job of a run's config.yaml, without defaults."""
    words = ["syncbench", "run"]
    for name, default in vars(RunOptions()).items():
        value = config.get(name, default)
        plain = tuple(value) if isinstance(value, list) else value
        if name == "strategy_options":
            words += [f"--strategy.{key}={_yaml(part)}" for key, part in sorted((value or {}).items())]
        elif name == "decay_every" and config.get("schedule") != "step":
            continue  # it follows from the other options, as do no servers
        elif name == "strategy" or (plain != default and not (name == "servers" and not value)):
            text, flag = _text(name, value), "--" + name.replace("_", "-")
            words += [flag] if value is True else [f"{flag}={text}"] if text.startswith("-") else [flag, text]
    return [*words, *more]


def _text(name: str, value: Any) -> str:
    if name == "bucket" and isinstance(value, int):
        return size_name(value, "")
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return "null" if value is None else str(value)


def _yaml(value: Any) -> str:
    """The value as YAML on one line, as the command line reads the options of a strategy."""
    text = str(yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True))
    return text.removesuffix("...\n").strip()


def read_config(run: Run) -> dict[str, Any]:
    """Return the run's config.yaml. ConfigError if it is missing or damaged, or has options of another version."""
    file = run.path / "config.yaml"
    try:
        found = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        why = "is missing" if isinstance(error, FileNotFoundError) else "cannot be read"
        raise ConfigError(f"{file} {why}") from None
    if not isinstance(found, dict) or "strategy" not in found:
        raise ConfigError(f"{file} is no configuration of a run")
    known = {field.name for field in dataclasses.fields(RunOptions)}
    if strangers := sorted(set(found) - known):
        raise ConfigError(f"{file} has options that this version does not know: {', '.join(strangers)}")
    return found


def commands(runs: Sequence[Run], sweep: Path | None = None) -> list[Command]:
    """Return the commands that repeat `runs`: of the file `sweep` if there is one, else one command for each run."""
    if sweep is not None:
        return [_sweep_command(sweep)]
    lines: Counter[str] = Counter()
    missing = []
    place = ["--results", AGAIN] if len(runs) > 1 else []
    for run in runs:
        try:
            lines[shlex.join(run_words(read_config(run), *place))] += 1
        except ConfigError as error:
            missing.append(Command(f"No command: {error}."))
    if not lines:
        return missing
    text, most = "\n".join(lines), max(lines.values())
    if len(lines) == most == 1:
        return [Command("The same run:", text), *missing]
    times = f", {most} times in turns" if most > 1 else ""
    if most > 1:  # repeats one after the other are unfair on a machine whose speed drifts
        text = f"for repeat in $(seq {most}); do\n{indent(text, '  ')}\ndone"
    return [Command(f"The same runs{times}, and a report on them:", f"{text}\nsyncbench report {AGAIN}"), *missing]


def _sweep_command(sweep: Path) -> Command:
    """Return a command with the sweep's file in it: a report is also read where the folder is not."""
    try:
        try:
            content = read(load(sweep), {}).asked_yaml()
        except ConfigError:
            content = sweep.read_text()
    except (OSError, UnicodeDecodeError):
        return Command(f"No command: {sweep} cannot be read.")
    content, end = content.rstrip(), "END_OF_SWEEP"
    while end in content:
        end += "_"
    return Command("The same sweep:", f"cat > again.yaml <<'{end}'\n{content}\n{end}\nsyncbench sweep again.yaml")
