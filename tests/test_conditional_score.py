"""Score models with labels: guidance, the absent label, and what a checkpoint carries."""

import shutil
from pathlib import Path

import pytest
import torch
from latent_space import write_vae_run
from pytorch_lightning import Trainer

from datamodules.latents import LatentDataModule
from elbolab.errors import UserError
from lightning_modules.conditional_score import ConditionalScore
from lightning_modules.functional.samplers import Ancestral, HeunFlow
from lightning_modules.functional.schedule import LinearSchedule
from lightning_modules.functional.score import DifferentiableScore, guided
from lightning_modules.functional.score_matching import Denoising, Hyvarinen
from lightning_modules.latent_score import LatentScore
from lightning_modules.nets.labelled_net import LabelledScoreMLP
from lightning_modules.nets.score_net import ScoreMLP

SHORT = LinearSchedule(30, 0.01, 0.4)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small(dim, schedule, **options):
    return LabelledScoreMLP(dim, schedule, hidden=[32, 32], **options)


def model(**options) -> ConditionalScore:
    torch.manual_seed(0)
    chosen = {"net": small, "schedule": lambda: SHORT, "sampler": Ancestral, **options}
    return ConditionalScore((3,), **chosen).eval()


@pytest.fixture
def fitted(workplace) -> tuple[ConditionalScore, Path]:
    """A model after two steps, and its checkpoint; the VAE's run is gone."""
    write_vae_run(Path("runs/latent_vae"))
    trained, data = model().train(), LatentDataModule("runs/latent_vae", batch_size=120)
    trainer = Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir="runs/score",
    )  # fmt: skip
    trainer.fit(trained, datamodule=data)
    trainer.save_checkpoint("model.ckpt")
    shutil.rmtree("runs/latent_vae")
    return trained.eval(), Path("model.ckpt")


def test_a_checkpoint_samples_the_same_images_without_the_vaes_run(fitted):
    trained, path = fitted
    again = ConditionalScore.load_from_checkpoint(
        path, net=small, schedule=lambda: SHORT, sampler=Ancestral
    ).eval()
    images = trained.sample(5, seeded(), y=[0, 1, 2, 3, 9], guidance=0.5)
    assert images.shape == (5, 1, 28, 28)
    assert float(images.min()) >= 0
    assert float(images.max()) <= 1
    assert torch.equal(images, again.sample(5, seeded(), y=[0, 1, 2, 3, 9], guidance=0.5))
    assert not torch.equal(images, trained.sample(5, seeded(1), y=[0, 1, 2, 3, 9], guidance=0.5))


def test_guidance_zero_is_plain_conditional_sampling_exactly():
    trained, y = model(), torch.tensor([4, 4, 7])
    torch.nn.init.normal_(trained.score.labels.weight)
    x = trained.noise(3, generator := seeded())
    plain = trained.sampler(trained.score.given(y), x, trained.schedule, generator)
    assert torch.equal(trained.sample_latents(3, seeded(), y=y, guidance=0.0), plain)
    assert not torch.equal(trained.sample_latents(3, seeded(), y=y, guidance=0.5), plain)
    one = trained.sample_latents(3, seeded(), y=4, guidance=0.0)
    assert torch.equal(one, trained.sample_latents(3, seeded(), y=[4, 4, 4], guidance=0.0))


@pytest.mark.parametrize("w", [-1.0, 0.0, 0.5, 2.0])
def test_guided_gaussians_are_gaussians_in_closed_form(w):
    """N(m, 1) given the label, N(0, 1) without: the guided density is N((1 + w) m, 1)."""
    m, x, k = torch.tensor([1.0, -2.0]), torch.randn(50, 2), torch.tensor(3)
    score = guided(lambda x, k: m - x, lambda x, k: -x, w)
    torch.testing.assert_close(score(x, k), (1 + w) * m - x)


@pytest.mark.parametrize("loss", [Hyvarinen(), Denoising()])
def test_without_labels_in_training_the_model_is_the_unlabelled_one(loss):
    trained = model(label_dropout=1.0, loss=lambda: loss).train()
    optimizer = trained.configure_optimizers()
    for _ in range(5):
        x, y = torch.randn(64, 3), torch.randint(10, (64,))
        optimizer.zero_grad()
        trained.training_step((x, y), 0)["loss"].backward()
        optimizer.step()
    net = trained.net
    plain = ScoreMLP(3, SHORT, [32, 32], embedding=lambda _: net.embedding, resolution=0.5)
    weights = {n: v for n, v in net.state_dict().items() if not n.startswith("labels")}
    plain.load_state_dict(weights)
    x, k = torch.randn(10, 3), torch.randint(1, 31, (10,))
    for y in range(11):
        torch.testing.assert_close(net.given(torch.full((10,), y))(x, k), plain(x, k))


def test_labels_are_learned_and_dropped_labels_average_over_them():
    """One latent at ±2 for labels 1 and 0: samples of a label stay on its side."""
    torch.manual_seed(0)
    trained = ConditionalScore((1,), net=small, schedule=lambda: SHORT, ema_decay=0.9).train()
    optimizer = trained.configure_optimizers()
    for _ in range(400):
        y = torch.randint(2, (256,))
        x = (4.0 * y - 2).unsqueeze(1) + 0.3 * torch.randn(256, 1)
        optimizer.zero_grad()
        trained.training_step((x, y), 0)["loss"].backward()
        optimizer.step()
        trained.average.update_parameters(trained.net)
    trained.eval()
    for y, side in ((0, -1), (1, 1)):
        u = trained.sample_latents(500, seeded(), y=y, guidance=0.0) * side
        assert float((u > 0).float().mean()) > 0.95
    share = float((trained.sample_latents(2000, seeded()) > 0).float().mean())
    assert share == pytest.approx(0.5, abs=0.1)  # 3 standard errors are 0.034; the rest is bias


@pytest.mark.parametrize("hidden", [[20, 30], [20, 30, 25]])
def test_scores_with_labels_have_the_derivatives_that_autograd_finds(hidden):
    torch.manual_seed(0)
    net = LabelledScoreMLP(3, LinearSchedule(30, 0.01, 0.4), hidden=hidden).double()
    torch.nn.init.normal_(net.labels.weight)
    x, k = torch.randn(6, 3).double(), torch.randint(1, 31, (6,))
    score = net.given(torch.arange(6))
    value, trace = score.with_trace(x, k)
    torch.testing.assert_close(value, score(x, k))
    jacobian = torch.autograd.functional.jacobian(lambda x: score(x, k).sum(0), x)
    torch.testing.assert_close(trace, jacobian.diagonal(dim1=0, dim2=2).sum(1))
    general, general_trace = DifferentiableScore.with_trace(score, x, k)
    torch.testing.assert_close((value, trace), (general, general_trace))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"y": 10}, r"labels must be in 0 … 9, got 10"),
        ({"y": [1, -1]}, r"labels must be in 0 … 9, got -1"),
        ({"y": [1, 2, 3]}, r"2 samples take one label or 2, got 3"),
        ({"y": 1.5}, r"labels must be whole numbers, got 1.5"),
        ({"y": 1, "guidance": float("nan")}, r"guidance must be at least -1, got nan"),
        ({"y": 1, "guidance": -2.0}, r"at least -1, got -2"),
    ],
)
def test_impossible_samples_are_refused(asked, message):
    with pytest.raises(UserError, match=message):
        model().sample_latents(2, **asked)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_dropout": 1.1}, r"label_dropout must be in \[0, 1\], got 1.1"),
        ({"guidance": float("nan")}, "guidance must be at least -1, got nan"),
        ({"net": lambda d, s: LabelledScoreMLP(d, s, classes=0)}, "classes must be at least 1"),
    ],
)
def test_impossible_models_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        model(**options)


def test_a_label_that_the_model_does_not_know_stops_training():
    with pytest.raises(UserError, match=r"labels must be in 0 … 9, got 12"):
        model().training_step((torch.randn(2, 3), torch.tensor([1, 12])), 0)


def test_a_model_without_latents_says_where_to_get_them():
    with pytest.raises(UserError, match="take LatentDataModule, or load a checkpoint"):
        LatentScore((3,), sampler=lambda: HeunFlow(3)).sample(2)


def test_a_checkpoint_without_a_vae_is_refused():
    with pytest.raises(UserError, match="carries no VAE: it is not one of ConditionalScore"):
        model().on_load_checkpoint({"state_dict": {}})


def test_a_checkpoint_refuses_the_latents_of_another_vae(fitted):
    trained, path = fitted
    write_vae_run(Path("runs/other"))
    checkpoint = torch.load("runs/other/checkpoints/best.ckpt", weights_only=True)
    checkpoint["state_dict"]["encoder.0.bias"] += 1
    torch.save(checkpoint, "runs/other/checkpoints/best.ckpt")
    data = LatentDataModule("runs/other")
    data.setup("test")
    trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False)
    with pytest.raises(UserError, match=r"another VAE than the checkpoint's: .*--data.vae_run"):
        trainer.test(
            trained, datamodule=data, ckpt_path=str(path), weights_only=True, verbose=False
        )
