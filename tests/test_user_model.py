"""A user's own model is built as any other, and refused in one line where it does not fit the data."""

import sys

import pytest
import torch
from torch import nn

from common.data import describe
from common.errors import ConfigError
from common.models import build_for
from common.models.user_model import check_user_model
from experiments.config import RunOptions, plan

MODELS = """
import torch
from torch import nn

def fits(info): return nn.Sequential(nn.Flatten(), nn.Linear(int(torch.tensor(info.shape).prod()), info.classes))
def bytewise(info): return nn.Embedding(256, 256)
def small(info): return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
def wrong(info): return nn.Linear(3, 3)
def double(info): return fits(info).double()
def nothing(info): return nn.Flatten()
def function(info): return lambda x: x
def broken(info): raise RuntimeError("two\\nlines")
"""


@pytest.fixture(autouse=True)
def module_in_the_working_folder(tmp_path, monkeypatch):
    (tmp_path / "own_models.py").write_text(MODELS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    sys.modules.pop("own_models", None)


def test_a_model_is_drawn_with_the_seed_and_as_any_other():
    info = describe("digits")
    one, same, other = (build_for(info, "own_models:fits", (64,), seed) for seed in (1, 1, 2))
    first = [nn.utils.parameters_to_vector(model.parameters()).tolist() for model in (one, same, other)]
    assert first[0] == first[1] != first[2]
    assert plan(RunOptions(model="own_models:fits")).job.model == "own_models:fits"


def test_a_server_that_only_counts_gets_a_model_with_real_memory():
    with torch.device("meta"):
        model = build_for(describe("digits"), "own_models:fits", (64,), 0)
    assert {parameter.device.type for parameter in model.parameters()} == {"cpu"}


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("not_there_at_all:model", "the module does not exist"),
        ("own_models:fit", "module own_models has no fit; did you mean fits?"),
        ("own_models:broken", "RuntimeError: two lines"),
        ("own_models:function", "gave a function: give a torch.nn.Module"),
        ("own_models:double", "has torch.float64: only torch.float32 can be synchronised"),
        ("own_models:nothing", "has no parameters"),
        ("own_models:small", "makes (2, 3) of two samples: give logits of shape (2, 10)"),
        ("own_models:wrong", "on samples of shape (1, 8, 8): RuntimeError: "),
    ],
)
def test_a_model_that_does_not_fit_is_one_line_before_anything_starts(name, complaint):
    before = torch.get_rng_state()
    with pytest.raises(ConfigError) as refused:
        plan(RunOptions(model=name))
    assert complaint in str(refused.value)
    assert str(refused.value).startswith(f"--model {name}")
    assert "\n" not in str(refused.value)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_model_for_text_gives_logits_for_each_byte():
    complaint = r"makes \(2, 64, 256\) of two samples: give logits of shape \(2, 256, 64\)"
    with pytest.raises(ConfigError, match=complaint):
        check_user_model("own_models:bytewise", describe("text"))
