"""What several test files share."""

import csv
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from functools import partial
from io import StringIO
from pathlib import Path

import numpy as np
import pytest

import cli

ROOT = Path(__file__).parent.parent

SMALL = [
    *("--data.train_size", "300", "--data.test_size", "70", "--data.val_size", "60"),
    *("--data.batch_size", "16", "--data.eval_batch_size", "32"),
    *("--model.hidden", "[32]", "--model.latent_dim", "4"),
    *("--trainer.max_epochs", "2", "--trainer.log_every_n_steps", "5"),
    *("--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"),
    *("--trainer.enable_model_summary", "false"),
]
"""Options that shrink the glyph experiment to 15 steps an epoch."""


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    report = outcome.get_result()
    wanted = item.get_closest_marker("real_data") and os.environ.get("DATA_ROOT")
    if wanted and report.skipped:
        report.outcome = "failed"
        report.longrepr = "DATA_ROOT is set: a test marked real_data must not skip"


@pytest.fixture(autouse=True)
def denormals_as_they_were():
    """Takes back what a command set for its process: no test depends on those before it."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)


@pytest.fixture
def data_root() -> Path:
    """The folder of real data named by DATA_ROOT."""
    if "DATA_ROOT" not in os.environ:
        pytest.skip("set DATA_ROOT to a folder of real data")
    return Path(os.environ["DATA_ROOT"])


@pytest.fixture(scope="session")
def cache(tmp_path_factory) -> Path:
    """One cache of rendered glyphs for the whole session, not the user's own."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def workplace(tmp_path, monkeypatch, cache) -> Path:
    """An empty working directory with the shipped configs in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    return tmp_path


@pytest.fixture
def fit(workplace) -> Callable[..., Path]:
    """Fits the small glyph experiment in this process and returns the run directory."""

    def run(name: str, *options: str) -> Path:
        typed = ["fit", "--config", "configs/vae_glyphs.yaml", *SMALL, "--run_dir", name, *options]
        assert cli.main(typed) == 0
        return workplace / name

    return run


class TaskRuns:
    """Runs tasks in an empty working directory; ``path`` is that directory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, name: str, *options: object, drawn: bool = False):
        """Runs a task; returns its directory and its metrics without their prefix.

        Pictures are left out unless asked for: rendering takes most of a small run's time.
        """
        folder = Path(f"out{len(list(self.path.glob('out*')))}")
        with pytest.MonkeyPatch.context() as patch:
            if not drawn:
                patch.setattr("elbolab.pictures.write_picture", lambda *_: None)
            assert cli.main(["task", name, *map(str, options), "--run_dir", str(folder)]) == 0
        metrics = json.loads((folder / "metrics.json").read_text())
        return folder, {key.removeprefix(f"{name}/"): value for key, value in metrics.items()}

    def refused(self, name: str, *options: object) -> str:
        """The one line with which a task refuses its options; asserts that nothing was written."""
        before, said = self._everything(), StringIO()
        with redirect_stderr(said):
            assert cli.main(["task", name, *map(str, options), "--run_dir", "out"]) == 2
        (line,) = [x for x in said.getvalue().splitlines() if not x.startswith("note: ")]
        assert line.startswith("error: ")
        assert line.isprintable()
        assert "Errno" not in line
        assert self._everything() == before
        return line

    def _everything(self) -> list[tuple[str, int]]:
        """All that lies here, with the time of its last change."""
        return sorted((str(path), path.lstat().st_mtime_ns) for path in self.path.rglob("*"))

    @staticmethod
    def rows(path: Path) -> list[dict[str, str]]:
        """The rows of a table that a task wrote."""
        with path.open(newline="") as file:
            return list(csv.DictReader(file))


@pytest.fixture
def run_task(tmp_path, monkeypatch) -> TaskRuns:
    """Runs tasks in an empty working directory with an empty cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return TaskRuns(tmp_path)


def write_idx(path: Path, values: np.ndarray, kind: int = 8) -> None:
    """Writes an IDX file: two zero bytes, the type, the rank, the sizes, the values."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = bytes([0, 0, kind, values.ndim])
    sizes = b"".join(int(n).to_bytes(4, "big") for n in values.shape)
    path.write_bytes(header + sizes + values.tobytes())


@pytest.fixture
def with_loop(tmp_path, monkeypatch) -> Callable:
    """Calls a function with a training loop chosen: ``with_loop(loop, function, *args)``."""
    from both_loops import choose_loop  # Lightning, which most tests of tasks do without

    return choose_loop(tmp_path, monkeypatch)


@pytest.fixture
def in_both(with_loop) -> Callable:
    """Fits with both training loops and compares what is left behind."""
    from both_loops import compare_loops

    return partial(compare_loops, with_loop)


@pytest.fixture
def tiny_mnist(tmp_path) -> Path:
    """A root in torchvision's layout: 120 training and 40 test images of noise."""
    root, generator = tmp_path / "root", np.random.default_rng(0)
    for prefix, count in (("train", 120), ("t10k", 40)):
        images = generator.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        write_idx(root / f"MNIST/raw/{prefix}-images-idx3-ubyte", images)
        labels = generator.integers(0, 10, count, dtype=np.uint8)
        write_idx(root / f"MNIST/raw/{prefix}-labels-idx1-ubyte", labels)
    return root


TINY = [
    *("--trainer.max_epochs", "1", "--trainer.accelerator", "cpu"),
    *("--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false"),
]
DIGITS = [
    *("--data", "GlyphDataModule", "--data.train_size", "160", "--data.val_size", "40"),
    *("--data.test_size", "60", "--data.batch_size", "40", "--data.eval_batch_size", "32", *TINY),
]
NETS = ("--model.hidden", "[16]", "--model.latent_dim", "4", "--model.nll_samples", "20")
SCORES = [
    *("--model.net.hidden", "[16]", "--model.schedule.steps", "20", "--model.flow_steps", "5"),
    *("--model.schedule.beta_max", "0.4"),
]
LATENTS = ("--data", "LatentDataModule", "--data.vae_run", "{}/gaussian", *SCORES, *TINY)
SPIRAL = [
    *("--data", "SpiralDataModule", "--data.train_size", "200", "--data.test_size", "70"),
    *("--data.components", "40"),
]
TINY_RUNS = {
    "vae": ("fit", "--model", "VAE", *DIGITS, *NETS, "--data.binarize", "static"),
    "gaussian": ("fit", "--config", "vae_gaussian", *DIGITS, *NETS),
    "categorical": ("fit", "--config", "vae_categorical", *DIGITS, *NETS),
    "exponential": ("fit", "--config", "vae_exponential", *DIGITS, *NETS),
    "learned_prior": ("fit", "--config", "vae_learned_prior", *DIGITS, *NETS),
    "iwae": ("fit", "--config", "iwae", *DIGITS, *NETS, "--model.bound.samples", "5"),
    "nice": ("fit", "--model", "NICE", "--model.hidden", "[16]", *DIGITS),
    "classifier": ("fit", "--model", "DigitClassifier", *DIGITS),
    "spiral": ("fit", "--model", "SpiralScore", *SPIRAL, *SCORES, *TINY),
    "latent": ("fit", "--model", "LatentScore", *LATENTS),
    "conditional": ("fit", "--model", "ConditionalScore", *LATENTS),
    "cavi": ("task", "cavi", "--config", str(ROOT / "configs/tasks/cavi_simulated.yaml")),
    "game": ("task", "game", "--steps", "20"),
    "mdp": ("task", "mdp"),
    "qwop": ("task", "qwop", "--budget", "130", "--seeds", "2"),
    "trueskill": ("task", "trueskill", "--matches", "simulated", "--league.teams", "6"),
}
"""Name → command, of one tiny run of each family and each task; ``{}`` is where they lie."""


class TinyRuns:
    """Runs that are made once a session, when a test first asks for them; none may be changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __getitem__(self, name: str) -> Path:
        path = self.folder / name
        if not path.exists():
            typed = [word.format(self.folder) for word in TINY_RUNS[name]]
            if "LatentDataModule" in typed:
                self["gaussian"]
            assert cli.main([*typed, "--run_dir", str(path)]) == 0
        return path

    def copy(self, name: str, to: Path) -> Path:
        """A run somewhere else, to be damaged."""
        return Path(shutil.copytree(self[name], to))


@pytest.fixture(scope="session")
def tiny_runs(tmp_path_factory, cache) -> Iterator[TinyRuns]:
    """One tiny run of each family and each task."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        yield TinyRuns(tmp_path_factory.mktemp("tiny"))
