"""Checkpoints: whole or absent, free of code, of the right model."""

import os
import pickle
import signal
import subprocess
import sys
import time

import pytest
import torch
from conftest import ROOT
from doubles import Bomb

from callbacks.run.checkpoints import SafeCheckpointIO, check_fits
from elbolab.errors import UserError
from lightning_modules.checkpoints import read_checkpoint
from lightning_modules.vae import VAE


def test_code_in_a_checkpoint_is_refused_and_does_not_run(tmp_path):
    path, trace = tmp_path / "evil.ckpt", tmp_path / "it_ran"
    torch.save({"state_dict": {}, "callbacks": Bomb(trace)}, path)
    with pytest.raises(UserError, match="evil.ckpt is refused"):
        read_checkpoint(path)
    with pytest.raises(UserError, match="evil.ckpt is refused"):
        SafeCheckpointIO().load_checkpoint(path, weights_only=False)
    assert not trace.exists()
    pickle.loads(pickle.dumps(Bomb(trace)))
    assert trace.exists(), "the bomb itself works"


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 half a zip file"])
def test_a_damaged_file_is_said_to_be_damaged(tmp_path, content):
    path = tmp_path / "last.ckpt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"last\.ckpt .*damaged"):
        read_checkpoint(path)


def test_a_truncated_checkpoint_is_said_to_be_damaged(tmp_path):
    path = tmp_path / "last.ckpt"
    torch.save({"state_dict": {"w": torch.randn(1000)}}, path)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(UserError, match="damaged"):
        read_checkpoint(path)


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(UserError, match="no checkpoint .*none.ckpt"):
        read_checkpoint(tmp_path / "none.ckpt")


def test_a_checkpoint_of_another_model_names_the_weight(tmp_path):
    path = tmp_path / "other.ckpt"
    small, large = (VAE(shape=(1, 4, 4), latent_dim=d, hidden=(8,)) for d in (2, 3))
    torch.save({"state_dict": small.state_dict()}, path)
    check_fits(path, small)
    with pytest.raises(UserError, match=r"another model: weight 'decoder.0.weight' is \(8, 2\)"):
        check_fits(path, large)
    torch.save({"weights": 1}, path)
    with pytest.raises(UserError, match="has no state_dict"):
        check_fits(path, small)


WRITER = """
import sys, torch
from callbacks.run.checkpoints import SafeCheckpointIO
io, number = SafeCheckpointIO(), 0
while True:
    number += 1
    io.save_checkpoint({"number": number, "w": torch.full((300_000,), float(number))}, sys.argv[1])
    print(number, flush=True)
"""


def test_a_kill_at_any_moment_leaves_a_whole_checkpoint(tmp_path):
    path = tmp_path / "last.ckpt"
    command = [sys.executable, "-c", WRITER, str(path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for pause in (0.0, 0.013, 0.05):
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
            process.stdout.readline()
            time.sleep(pause)
            process.send_signal(signal.SIGKILL)
        checkpoint = read_checkpoint(path)
        assert float(checkpoint["w"].min()) == float(checkpoint["w"].max()) == checkpoint["number"]
