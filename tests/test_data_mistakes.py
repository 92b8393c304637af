"""Wrong data, one line each: files of points, IDX files, images and labels, sizes and seeds."""

import io
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import write_idx

import cli
from datamodules.anomaly import GlyphsAgainstLetters
from datamodules.glyphs import GlyphDataModule
from datamodules.images import ImageDataModule, LabelSubset
from datamodules.mnist import KMNISTDataModule, MNISTDataModule
from datamodules.points import FilePointsDataModule
from datamodules.spiral import SpiralDataModule
from datamodules.tensor_batches import TensorBatches
from elbolab.errors import UserError

GOOD = "0.1,0.2\n" * 50


def npy(array, **options) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def npz(**arrays) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def header(text: str) -> bytes:
    """An .npy file with this header and no data."""
    padded = text.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded


POINTS = np.zeros((50, 2))

FILES = {
    "Latin-1": ("a.csv", GOOD.encode() + "1,2 # größe\n".encode("latin-1"), "line 51, is no text"),
    "UTF-16": ("a.csv", GOOD.encode("utf-16"), "is in UTF-16"),
    "a zero byte": ("a.csv", GOOD.encode() + b"1,\x002\n", "line 51, has a zero byte"),
    "binary": ("a.csv", bytes(range(256)), "line 1, has a zero byte"),
    "a header": ("a.csv", "x,y\n" + GOOD, "line 1, is no pair of numbers: such a file has no h"),
    "a header with a name twice": ("a.csv", "x,x\n" + GOOD, "line 1, is no pair of numbers"),
    "one column": ("a.csv", "1\n" * 50, "line 1, has 1 columns, wanted two"),
    "three columns": ("a.csv", "1,2,3\n" * 50, "line 1, has 3 columns"),
    "a row that is longer": ("a.csv", GOOD + "1,2,3\n", "line 51, has 3 columns"),
    "a row that is shorter": ("a.csv", GOOD + "1\n", "line 51, has 1 columns"),
    "semicolons": ("a.csv", "1;2\n" * 50, "line 1, has 1 columns"),
    "decimal commas": ("a.csv", "1,5,2,5\n" * 50, "line 1, has 4 columns"),
    "an empty cell": ("a.csv", GOOD + "1,\n", "line 51, is no pair of numbers"),
    "a word": ("a.csv", GOOD + "one,two\n", "line 51, is no pair of numbers: 'one,two'"),
    "a truth value": ("a.csv", GOOD + "True,False\n", "line 51, is no pair of numbers"),
    "a complex number": ("a.csv", GOOD + "1j,2\n", "line 51, is no pair of numbers"),
    "a long line": ("a.csv", GOOD + "a" * 10_000 + ",1\n", "line 51, is no pair of numbers"),
    "5,000 digits": ("a.csv", GOOD + "9" * 5000 + ",1\n", "line 51, must be finite and within"),
    "NaN": ("a.csv", GOOD + "nan,1\n", "line 51, must be finite and within ±1e+06, got 'nan,1'"),
    "infinity": ("a.csv", GOOD + "1,-inf\n", "line 51, must be finite"),
    "1e300": ("a.csv", GOOD + "1e300,1\n", "line 51, must be finite and within"),
    "1e7": ("a.csv", GOOD + "1,1e7\n", "line 51, must be finite and within"),
    "nothing": ("a.csv", "", "holds no points"),
    "empty lines": ("a.csv", "\n\n \n", "holds no points"),
    "few points": ("a.csv", "1,2\n" * 5, "5 points leave none to validate or test on"),
    "another ending": ("a.txt", GOOD, "must be in a .csv or .npy file"),
    "no ending": ("points", GOOD, "must be in a .csv or .npy file"),
    "an array of objects": (
        "a.npy",
        npy(np.array([[1, None]] * 50, dtype=object), allow_pickle=True),
        "is damaged or no .npy file of numbers",
    ),
    "a pickle": ("a.npy", pickle.dumps([1, 2]), "is damaged or no .npy file of numbers"),
    "text in .npy": ("a.npy", GOOD, "is damaged or no .npy file of numbers"),
    "an empty .npy": ("a.npy", b"", "is damaged or no .npy file of numbers"),
    "half a .npy": ("a.npy", npy(POINTS)[:300], "is damaged or no .npy file of numbers"),
    "half a header": ("a.npy", npy(POINTS)[:30], "is damaged or no .npy file of numbers"),
    "a header of anything": ("a.npy", header("{'descr': "), "is damaged or no .npy file"),
    "a header that promises more than there is memory": (
        "a.npy",
        header(f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({10**15}, 2), }}"),
        "is damaged or no .npy file",
    ),
    "several arrays": ("a.npy", npz(a=POINTS, b=POINTS), "holds several arrays"),
    "complex numbers": ("a.npy", npy(POINTS + 1j), "wanted real numbers, got complex128"),
    "truth values": ("a.npy", npy(POINTS > 0), "wanted real numbers, got bool"),
    "strings": ("a.npy", npy(POINTS.astype(str)), "wanted real numbers, got <U32"),
    "dates": ("a.npy", npy(POINTS.astype("M8[D]")), "wanted real numbers, got datetime64"),
    "records": ("a.npy", npy(np.zeros(5, "f8,f8")), "wanted real numbers, got"),
    "one number": ("a.npy", npy(np.array(1.0)), "wanted two columns (x, y), got shape ()"),
    "a vector": ("a.npy", npy(np.zeros(50)), "wanted two columns (x, y), got shape (50,)"),
    "the transpose": ("a.npy", npy(POINTS.T), "wanted two columns (x, y), got shape (2, 50)"),
    "three axes": ("a.npy", npy(POINTS[None]), "got shape (1, 50, 2)"),
    "NaN in .npy": ("a.npy", npy(POINTS * np.nan), "row 1, must be finite"),
    "1e300 in .npy": ("a.npy", npy(POINTS + 1e300), "row 1, must be finite and within"),
    "large whole numbers": ("a.npy", npy(np.full((50, 2), 2**63, "u8")), "row 1, must be finite"),
    "no row": ("a.npy", npy(np.zeros((0, 2))), "holds no points"),
}


def one_line(error: pytest.ExceptionInfo, message: str) -> None:
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize(("name", "content", "message"), FILES.values(), ids=FILES)
def test_a_wrong_file_of_points_is_one_line(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as error:
        FilePointsDataModule(str(path))
    one_line(error, message)


@pytest.mark.parametrize("kind", ["Latin-1", "a zero byte", "1e300", "an array of objects"])
def test_the_command_line_says_the_same_and_writes_nothing(workplace, capsys, kind):
    name, content, message = FILES[kind]
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    before = sorted(Path().rglob("*"))
    typed = ["fit", "--data", "FilePointsDataModule", "--data.path", name, "--model", "ScoreModel"]
    assert cli.main(typed) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert sorted(Path().rglob("*")) == before


def test_a_missing_file_of_points_is_named(workplace, capsys):
    typed = ["fit", "--data", "FilePointsDataModule", "--data.path", "none.csv"]
    assert cli.main([*typed, "--model", "ScoreModel"]) == 2
    assert "error: no file none.csv" in capsys.readouterr().err
    assert not Path("runs").exists()


def images(n: int = 30, side: int = 28) -> np.ndarray:
    return np.zeros((n, side, side), np.uint8)


def labels(n: int = 30, largest: int = 9) -> np.ndarray:
    return np.linspace(0, largest, n).astype(np.uint8)


def idx_folder(root: Path, data: type, x: np.ndarray, y: np.ndarray) -> Path:
    folder = root / data.dataset.__name__ / "raw"
    for prefix in ("train", "t10k"):
        write_idx(folder / f"{prefix}-images-idx3-ubyte", x)
        write_idx(folder / f"{prefix}-labels-idx1-ubyte", y)
    return folder


IDX = {
    "other images than labels": (images(), labels(29), "30 images but 29 labels"),
    "a label beyond nine": (images(), labels(largest=11), "labels must be in 0 … 9, got 11"),
    "images of another size": (images(side=20), labels(), "images are (1, 20, 20), its shape says"),
    "labels where images belong": (labels(), labels(), "is no IDX file of the expected kind"),
    "images where labels belong": (images(), images(), "is no IDX file of the expected kind"),
}


@pytest.mark.parametrize("data", [MNISTDataModule, KMNISTDataModule])
@pytest.mark.parametrize(("x", "y", "message"), IDX.values(), ids=IDX)
def test_idx_files_of_something_else_are_one_line(tmp_path, data, x, y, message):
    idx_folder(tmp_path, data, x, y)
    module = data(str(tmp_path), val_size=5)
    with pytest.raises(UserError) as error:
        module.setup("fit")
    one_line(error, message)


BYTES = {
    "nothing": b"",
    "one byte": b"\0",
    "a header alone": (2051).to_bytes(4, "big"),
    "another magic number": b"\1\2\3\4" * 30,
    "a web page": b"<!DOCTYPE html><html>not found</html>",
    "a packed file": b"\x1f\x8b\x08\x00" + b"\0" * 40,
    "floats": bytes([0, 0, 13, 3]) + (1).to_bytes(4, "big") * 3 + b"\0\0\0\0",
    "a header that promises more": bytes([0, 0, 8, 3]) + (10**6).to_bytes(4, "big") * 3 + b"\0",
}


@pytest.mark.parametrize("content", BYTES.values(), ids=BYTES)
@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
def test_a_damaged_idx_file_is_named(tmp_path, content, name):
    folder = idx_folder(tmp_path, MNISTDataModule, images(), labels())
    (folder / name).write_bytes(content)
    with pytest.raises(UserError) as error:
        MNISTDataModule(str(tmp_path)).prepare_data()
    one_line(error, f"{name} is no IDX file of the expected kind, or is cut off")


def test_a_directory_in_the_place_of_a_file_is_named(tmp_path):
    folder = idx_folder(tmp_path, MNISTDataModule, images(), labels())
    path = folder / "train-images-idx3-ubyte"
    path.unlink()
    path.mkdir()
    with pytest.raises(UserError) as error:
        MNISTDataModule(str(tmp_path)).prepare_data()
    one_line(error, f"cannot read {path}: Is a directory")


class Given(ImageDataModule):
    """Whatever it is given."""

    shape = (1, 4, 4)

    def __init__(self, x, y, **options) -> None:
        super().__init__(**({"val_size": 2} | options))
        self.given = x, y

    def load(self, train):
        return self.given


GREY, NUMBERS = torch.zeros(8, 1, 4, 4, dtype=torch.uint8), torch.arange(8)
TENSORS = {
    "grey values in [0, 1]": (GREY.float(), NUMBERS, "pixels must be bytes"),
    "NaN pixels": (GREY.float() * math.nan, NUMBERS, "torch.float32 with 128 NaN"),
    "signed bytes": (GREY.to(torch.int8), NUMBERS, "pixels must be bytes"),
    "truth values": (GREY.bool(), NUMBERS, "pixels must be bytes"),
    "no channel": (GREY[:, 0], NUMBERS, "images must be (N, c, h, w), got (8, 4, 4)"),
    "another shape": (GREY[..., :3], NUMBERS, "images are (1, 4, 3), its shape says (1, 4, 4)"),
    "three channels": (GREY.expand(-1, 3, -1, -1), NUMBERS, "images are (3, 4, 4)"),
    "fewer labels": (GREY, NUMBERS[:7], "8 images but 7 labels"),
    "labels with NaN": (GREY, NUMBERS * math.nan, "labels must be whole numbers (N,)"),
    "labels below 0": (GREY, NUMBERS - 1, "labels must be at least 0, got -1"),
    "one-hot labels": (GREY, torch.eye(8).long(), "labels must be whole numbers (N,)"),
    "no image": (GREY[:0], NUMBERS[:0], "val_size 2 leaves nothing to train on"),
    "one image too few": (GREY[:2], NUMBERS[:2], "the training set has 2 images"),
}


@pytest.mark.parametrize(("x", "y", "message"), TENSORS.values(), ids=TENSORS)
def test_wrong_images_and_labels_are_one_line(x, y, message):
    with pytest.raises(UserError) as error:
        Given(x, y).setup("fit")
    one_line(error, message)


BUILT = {
    "no label": (lambda: LabelSubset(Given(GREY, NUMBERS), []), "at least one label"),
    "binarisation": (lambda: Given(GREY, NUMBERS, binarize="yes"), "none, static or dynamic"),
    "no glyph": (lambda: GlyphDataModule(train_size=0), "train_size must be in [1, 1e+07], got 0"),
    "glyphs below 0": (lambda: GlyphDataModule(test_size=-3), "test_size must be in [1, 1e+07]"),
    "too many glyphs": (lambda: GlyphDataModule(train_size=10**12), "got 1000000000000"),
    "batches of none": (lambda: GlyphDataModule(batch_size=0), "batch_size must be at least 1"),
    "no letters": (lambda: GlyphsAgainstLetters(test_size=0), "test_size must be in"),
    "no calibration": (lambda: GlyphsAgainstLetters(calibration_size=0), "at least 2, got 0"),
    "too many points": (lambda: SpiralDataModule(train_size=10**12), "train_size must be in [1,"),
    "too many centres": (lambda: SpiralDataModule(components=10**9), "components must be in [1,"),
    "turns of NaN": (lambda: SpiralDataModule(turns=math.nan), "turns must be above 0, got nan"),
    "infinite scale": (lambda: SpiralDataModule(scale=math.inf), "finite and above 0, got inf"),
    "no spread": (lambda: SpiralDataModule(sigma_0=0), "sigma_0 must be above 0, got 0"),
    "fewer examples than processes": (
        lambda: TensorBatches([torch.zeros(3, 2)], 1, world_size=4),
        "3 examples cannot feed 4 processes",
    ),
}


@pytest.mark.parametrize(("build", "message"), BUILT.values(), ids=BUILT)
def test_impossible_data_are_refused(build, message):
    with pytest.raises(UserError) as error:
        build()
    one_line(error, message)


def test_a_label_that_no_image_has_is_named():
    with pytest.raises(UserError) as error:
        LabelSubset(Given(GREY, NUMBERS), [1, 77], val_size=1).load(train=True)
    one_line(error, "has the label 77: its labels are [0, 1, 2")


def test_a_damaged_cache_of_glyphs_is_rendered_again(workplace, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own"))
    data = GlyphDataModule(train_size=30)
    first = data.load(train=True)
    (kept,) = (tmp_path / "own").rglob("*.pt")
    kept.write_bytes(kept.read_bytes()[:1000])
    assert torch.equal(data.load(train=True)[0], first[0])


def test_a_cache_that_cannot_be_written_is_no_obstacle(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="cannot write .*made again each time"):
        assert len(GlyphDataModule(train_size=30).load(train=True)[0]) == 30
