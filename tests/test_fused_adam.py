"""The short way to Adam's fused kernel gives what torch's own gives."""

from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW
from torch.optim.lr_scheduler import ExponentialLR

from callbacks.run.fused_adam import FusedAdam

OPTIMISERS = {
    "Adam": lambda p: Adam(p, lr=0.01, fused=True),
    "weight decay": lambda p: Adam(p, lr=0.01, weight_decay=0.1, fused=True),
    "AdamW": lambda p: AdamW(p, lr=0.01, fused=True),
    "options": lambda p: Adam(p, betas=(0.5, 0.8), eps=1e-4, maximize=True, fused=True),
    "two groups": lambda p: Adam(
        [{"params": list(p)[:2], "lr": 0.1}, {"params": list(p)[2:]}], fused=True
    ),
}


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.SiLU(), nn.Linear(8, 2), nn.Linear(2, 2))


def train(build, own: bool, unused: bool = False):
    model = net()
    optimizer = build(list(model.parameters()))
    schedule, steps = ExponentialLR(optimizer, 0.5), []
    optimizer.register_step_post_hook(lambda *_: steps.append(float(model[0].weight.sum())))
    fused = FusedAdam.of(optimizer)
    assert fused
    x = torch.randn(16, 3, generator=torch.Generator().manual_seed(1))
    for number in range(6):

        def closure(number=number):
            (fused if own else optimizer).zero_grad()
            part = model[:2] if unused and number % 2 else model
            part(x).square().mean().backward()

        (fused if own else optimizer).step(closure)
        schedule.step()
    return model.state_dict(), optimizer.state_dict(), steps


@pytest.mark.parametrize("unused", [False, True])
@pytest.mark.parametrize("build", OPTIMISERS.values(), ids=OPTIMISERS)
def test_weights_and_state_are_equal(build, unused):
    (weights, state, steps), (other, other_state, other_steps) = (
        train(build, own, unused) for own in (False, True)
    )
    assert steps == other_steps
    assert all(torch.equal(weights[name], other[name]) for name in weights)
    for key, slots in state["state"].items():
        assert all(torch.equal(slots[name], other_state["state"][key][name]) for name in slots)
    assert state["param_groups"] == other_state["param_groups"]


def test_a_state_that_was_loaded_is_used():
    model = net()
    optimizer = Adam(model.parameters(), fused=True)
    fused = FusedAdam.of(optimizer)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    for _ in range(2):
        fused.step(lambda: None)
    optimizer.load_state_dict(deepcopy(optimizer.state_dict()))
    fused.step(lambda: None)
    assert all(float(slots["step"]) == 3 for slots in optimizer.state.values())


REFUSED = {
    "another optimiser": lambda p: SGD(p, lr=0.1),
    "not fused": lambda p: Adam(p),
    "amsgrad": lambda p: Adam(p, amsgrad=True, fused=True),
    "a tensor as rate": lambda p: Adam(p, lr=torch.tensor(0.1), fused=True),
    "two types": lambda p: Adam([*p, nn.Parameter(torch.zeros(2).double())], fused=True),
}


@pytest.mark.parametrize("build", REFUSED.values(), ids=REFUSED)
def test_all_else_is_left_to_torch(build):
    assert FusedAdam.of(build(list(net().parameters()))) is None


def test_a_step_that_somebody_watches_or_wraps_is_left_to_torch():
    watched = Adam(net().parameters(), fused=True)
    watched.register_step_pre_hook(lambda *_: None)
    wrapped = Adam(net().parameters(), fused=True)
    wrapped.step = lambda closure: None
    assert FusedAdam.of(watched) is None
    assert FusedAdam.of(wrapped) is None
