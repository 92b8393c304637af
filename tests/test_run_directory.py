"""Run directories: numbered, never mixed up, written whole."""

import json
import math

import numpy as np
import pytest

from elbolab.errors import UserError, did_you_mean
from elbolab.pictures import image_grid, tile, write_picture
from elbolab.run_directory import RunDirectory, first_free, newest, write_atomically
from elbolab.seeding import derive_seed


def test_numbering_starts_at_two_and_an_empty_folder_is_free(tmp_path):
    base = tmp_path / "vae"
    assert newest(base) is None
    assert first_free(base).path == base
    base.mkdir()
    assert first_free(base).path == base
    (base / "config.yaml").touch()
    assert first_free(base).path.name == "vae-2"
    assert newest(base).path == base
    (tmp_path / "vae-2").mkdir()
    (tmp_path / "vae-2/metrics.json").touch()
    assert first_free(base).path.name == "vae-3"
    assert newest(base).path.name == "vae-2"


def test_metrics_are_merged_and_are_valid_json(tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.merge_metrics({"val/elbo": -1.5, "test/elbo": 2.0})
    run.merge_metrics({"val/elbo": -1.25, "val/kl": math.nan})
    text = run.metrics.read_text()
    assert "NaN" not in text
    assert json.loads(text) == {"test/elbo": 2.0, "val/elbo": -1.25, "val/kl": None}


def test_metrics_that_cannot_be_read_are_not_overwritten(tmp_path):
    run = RunDirectory(tmp_path)
    run.metrics.write_text("not json")
    with pytest.raises(UserError, match="metrics.json is no JSON object"):
        run.merge_metrics({"val/elbo": 1.0})
    assert run.metrics.read_text() == "not json"


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk gone")))
    with pytest.raises(OSError, match="disk gone"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_seeds_depend_on_every_part_its_order_and_its_type():
    seeds = [derive_seed(*p) for p in ((0,), (0, 0), (0, 1), (1, 0), ("0",), (0, "a"), (0, "b"))]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed(3, "train", 5) == derive_seed(3, "train", 5)


def test_suggestions():
    assert did_you_mean("latent_dims", ["model.latent_dim", "data.root"]).endswith(
        "'model.latent_dim'?"
    )
    assert did_you_mean("xyz", ["model.latent_dim"]) == ""


def test_tiles_are_in_reading_order_with_a_line_between():
    images = np.arange(3.0).reshape(3, 1, 1, 1) / 10 * np.ones((3, 1, 2, 2))
    sheet = tile(images, columns=2)
    assert sheet.shape == (5, 5)
    assert (sheet[:2, :2] == 0.0).all()
    assert (sheet[:2, 3:] == 0.1).all()
    assert (sheet[3:, :2] == 0.2).all()
    assert (sheet[2] == 1).all()
    assert (sheet[3:, 3:] == 1).all()


def test_a_picture_is_the_same_on_disk_and_in_tensorboard(tmp_path):
    from PIL import Image

    class Writer:
        def add_image(self, tag, img_tensor, global_step, *, dataformats):
            self.seen = (tag, np.array(img_tensor), global_step, dataformats)

    writer, run = Writer(), RunDirectory(tmp_path)
    figure = image_grid(np.random.default_rng(0).random((3, 1, 8, 8)), "three", 2)
    write_picture(figure, "grid", run, writer, 7)
    tag, pixels, step, layout = writer.seen
    assert (tag, step, layout) == ("images/grid", 7, "HWC")
    np.testing.assert_array_equal(np.asarray(Image.open(run.images / "grid.png")), pixels)
