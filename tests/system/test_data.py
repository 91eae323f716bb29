"""Data and a model of the user's own, in processes of their own: found by every rank, and the same for all."""

import pytest

from system.leftovers import parse

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

OWN = """
import os
import torch
from torch import nn
from torch.utils.data import TensorDataset

RANDOM = torch.Generator().manual_seed(0)
X, Y = torch.randn(120, 2, 6, 6, generator=RANDOM), torch.arange(120) % 3

def data():
    return TensorDataset(X, Y)

def other_data():
    return TensorDataset(X + os.getpid(), Y)

def model(info):
    return nn.Sequential(nn.Conv2d(info.shape[0], 4, 3), nn.Flatten(), nn.ReLU(), nn.Linear(64, info.classes))
"""
WORK = ("--data", "my_own:data", "--model", "my_own:model", "--workers", 2, "--batch", 16, "--steps", 12)


def test_strategies_train_the_users_model_on_the_users_data_as_one_process_does(box):
    box.module("my_own", OWN)
    random = ("--preprocess", "flip,normalise", "--partition", "dirichlet:0.5", "--results", box.results)
    one = box.run("run", "--strategy", "single", *WORK, *random, "--json")
    many = box.run("run", "--strategy", "ps-bsp", *WORK, *random, "--json")
    assert (one.code, many.code) == (0, 0), many.err
    first, second = parse(one.out), parse(many.out)
    assert first["data_sha256"] == second["data_sha256"] is not None
    asked = {
        "data": "my_own:data",
        "model": "my_own:model",
        "partition": "dirichlet:0.5",
        "preprocess": "flip,normalise",
    }
    assert asked.items() <= second.items()
    compared = box.run("compare", box.results, "--json")
    assert compared.code == 0, compared.err


@pytest.mark.extras("tensorboard")
def test_a_run_leaves_its_events_where_they_are_asked_for(box):
    box.module("my_own", OWN)
    done = box.run("run", "--strategy", "ps-bsp", *WORK, "--results", box.results, "--tensorboard")
    assert done.code == 0, done.err
    assert len(list(box.results.glob("*-ps-bsp-*/tensorboard/events*"))) == 1


def test_data_that_are_others_in_every_process_are_found_out(box):
    box.module("my_own", OWN.replace("return TensorDataset(X, Y)", "return other_data()"))
    done = box.run("run", "--strategy", "ring", *WORK, "--results", box.results)
    assert "warning: the workers have not all loaded the same data" in done.err
    assert box.summary()["data_sha256"] is None
