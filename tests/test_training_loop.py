"""The lean loop does what Lightning's does: the same numbers, files and calls in the same order."""

from datetime import timedelta

import pytest
from both_loops import AUTO_ENCODER, SCORE, fit, logging_itself
from doubles import (
    AskToStop,
    LogEverywhere,
    OwnStep,
    Plain,
    ScheduleBySteps,
    SkipRest,
    Sometimes,
    WithoutBackward,
)
from pytorch_lightning.callbacks import (
    EarlyStopping,
    GradientAccumulationScheduler,
    LearningRateMonitor,
    ModelCheckpoint,
    WeightAveraging,
)

from elbolab.errors import UserError

SETTINGS = {
    "two epochs": {},
    "averages in the optimiser's hook": {"small": SCORE},
    "a module with a step of its own": {"small": logging_itself(OwnStep)},
    "logged everywhere": {"callbacks": [LogEverywhere]},
    "max_steps": {"max_steps": 20},
    "max_steps at an epoch's end": {"max_steps": 15},
    "no end but max_steps": {"max_steps": 33, "max_epochs": -1},
    "limit_train_batches": {"limit_train_batches": 7},
    "a share of the batches": {"limit_train_batches": 0.4},
    "val_check_interval": {"val_check_interval": 4},
    "a share of val_check_interval": {"val_check_interval": 0.3},
    "validation across epochs": {"val_check_interval": 11, "check_val_every_n_epoch": None},
    "validation every second epoch": {"check_val_every_n_epoch": 2},
    "validation by time": {"val_check_interval": timedelta(hours=1)},
    "validation all the time": {"val_check_interval": timedelta(0)},
    "no validation": {
        "limit_val_batches": 0,
        "small": AUTO_ENCODER._replace(metric="train/elbo"),
    },
    "sanity check": {"num_sanity_val_steps": 2},
    "a fast run": {"fast_dev_run": 2, "logger": False},
    "stop in the midst": {"callbacks": [AskToStop]},
    "stop, but not yet": {"callbacks": [AskToStop], "min_epochs": 2},
    "early stop": {
        "callbacks": [lambda: EarlyStopping("val/kl", patience=1, mode="max")],
        "max_epochs": 6,
    },
    "skipped batches": {"callbacks": [SkipRest]},
    "schedule by steps": {"callbacks": [ScheduleBySteps]},
    "logged rates": {"callbacks": [lambda: LearningRateMonitor("step"), ScheduleBySteps]},
    "averaged weights": {"callbacks": [WeightAveraging]},
    "bf16": {"precision": "bf16-mixed"},
    "checkpoints by steps": {
        "callbacks": [lambda: ModelCheckpoint(every_n_train_steps=4, save_top_k=-1)]
    },
    "progress bar": {"enable_progress_bar": True},
    "plain tensors": {"small": logging_itself(Plain)},
    "steps without a loss": {"small": logging_itself(Sometimes)},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_both_loops_do_the_same(in_both, settings):
    in_both(**settings)


REFUSED = {
    "accumulated batches": {"accumulate_grad_batches": 2},
    "clipping": {"gradient_clip_val": 1.0},
    "a profiler": {"profiler": "simple"},
    "a step without backward pass": {"callbacks": [WithoutBackward]},
    "a scaler or a precision of its own": {"precision": "64-true"},
}


@pytest.mark.parametrize(("reason", "settings"), REFUSED.items(), ids=REFUSED)
def test_elsewhere_lightnings_loop_stays(in_both, reason, settings):
    in_both(f"Lightning's: {reason}", **settings)


def test_the_loop_may_change_between_epochs(in_both):
    in_both(
        "Lightning's: accumulated batches",
        callbacks=[lambda: GradientAccumulationScheduler({1: 3})],
    )


def test_a_wrong_wish_is_refused(with_loop):
    with pytest.raises(UserError, match="must be 'lean' or 'lightning', got 'fast'"):
        with_loop("fast", fit, "run")
