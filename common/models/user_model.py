"""A user's own model: `module:callable` gets the data's description and returns a torch.nn.Module."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.errors import ConfigError
from common.util.import_by_name import call_user_code, import_attribute, import_from_working_folder

if TYPE_CHECKING:
    import torch

    from common.data.info import DataInfo


def build_user_model(target: str, info: DataInfo) -> torch.nn.Module:
    """Build the user's model for these data on the CPU. ConfigError, one line, unless all parameters are float32.

    The caller has seeded torch's generator, from which the user's code draws parameters.
    """
    import torch

    what = f"--model {target}"
    import_from_working_folder()
    make = import_attribute(what, target)
    with torch.device("cpu"):  # in real memory, even if a server only counts the parameters
        module = call_user_code(what, make, info)
    if not isinstance(module, torch.nn.Module):
        raise ConfigError(f"{what} gave a {type(module).__name__}: give a torch.nn.Module")
    kinds = {parameter.dtype for parameter in module.parameters()}
    if kinds != {torch.float32}:
        found = ", ".join(sorted(map(str, kinds))) or "no parameters"
        raise ConfigError(f"{what} has {found}: only torch.float32 can be synchronised")
    return module


def check_user_model(target: str, info: DataInfo) -> None:
    """Build one and run it on two samples of zeros. ConfigError unless its logits fit the labels of the data."""
    import torch

    with torch.random.fork_rng(devices=[]):
        module = build_user_model(target, info)
        x = torch.zeros((2, *info.shape), dtype=torch.int64 if info.rows else torch.float32)
        with torch.no_grad():
            logits = call_user_code(f"--model {target} on samples of shape {info.shape}", module, x)
    expected = (2, info.classes, *info.labels)
    got = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
    if got != expected:
        raise ConfigError(f"--model {target} makes {got} of two samples: give logits of shape {expected}")
