"""One batch script for the first submission and every later one, under a made-up scheduler."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from conftest import ROOT, SMALL

SCRIPT = f"""#!/bin/bash
#SBATCH --requeue
#SBATCH --signal=SIGUSR1@90
exec {sys.executable} {ROOT / "cli.py"} fit --config configs/vae_glyphs.yaml {" ".join(SMALL)} \\
    --trainer.max_epochs 4 --run_dir run {{goes_on}}
"""

SCONTROL = """#!/bin/bash
echo "$@" >> requeued
"""


class Scheduler:
    """Starts a script as SLURM does, sends signals, and starts it again where that is asked for."""

    def __init__(self, script: str) -> None:
        Path("job.sh").write_text(script)
        Path("bin").mkdir()
        Path("bin/scontrol").write_text(SCONTROL)
        for file in ("job.sh", "bin/scontrol"):
            Path(file).chmod(0o755)
        self.starts = 0

    def run(self, preempted_by: signal.Signals | None, behind: int) -> int:
        """Runs the script to its end, or to that signal once ``behind`` steps are saved."""
        environment = os.environ | {
            "PATH": f"{Path('bin').resolve()}:{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",
            "SLURM_JOB_ID": "4711",
            "SLURM_JOB_NAME": "vae",
            "SLURM_NTASKS": "1",
            "SLURM_PROCID": "0",
            "SLURM_LOCALID": "0",
            "SLURM_NODEID": "0",
            "SLURM_NODELIST": "localhost",
            "SLURM_RESTART_COUNT": str(self.starts),
        }
        self.starts += 1
        with subprocess.Popen(
            ["./job.sh"], env=environment, stderr=subprocess.PIPE, text=True
        ) as process:
            deadline = time.monotonic() + 200
            while preempted_by and steps() < behind and time.monotonic() < deadline:
                time.sleep(0.02)
            if preempted_by:
                process.send_signal(preempted_by)
            _, self.said = process.communicate(timeout=200)
        return process.returncode


def steps(run: str = "run") -> int:
    path = Path(run) / "checkpoints/last.ckpt"
    return torch.load(path, weights_only=True)["global_step"] if path.exists() else 0


@pytest.mark.parametrize("goes_on", ["--ckpt_path auto", ""])
def test_submitted_preempted_twice_and_finished(workplace, fit, goes_on):
    scheduler = Scheduler(SCRIPT.format(goes_on=goes_on))
    assert scheduler.run(signal.SIGUSR1, behind=15) == 128 + signal.SIGUSR1, scheduler.said
    assert Path("requeued").read_text().split() == ["requeue", "4711"]
    assert scheduler.run(signal.SIGTERM, behind=45) in (128 + signal.SIGTERM, 0), scheduler.said
    assert scheduler.run(None, behind=0) == 0, scheduler.said
    assert not list(Path("run").rglob("hpc_ckpt*"))
    fit("whole", "--trainer.max_epochs", "4")
    end, whole = (
        torch.load(f"{run}/checkpoints/last.ckpt", weights_only=True) for run in ("run", "whole")
    )
    assert end["global_step"] == whole["global_step"] == 60
    for name, weight in whole["state_dict"].items():
        assert torch.equal(weight, end["state_dict"][name]), name
