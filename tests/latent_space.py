"""What tests of latent score models share: an untrained VAE's run directory and its latents."""

from pathlib import Path

import pytorch_lightning
import torch
import yaml

from lightning_modules.vae import VAE

GLYPHS = {"train_size": 300, "val_size": 60, "test_size": 70, "batch_size": 50}


def write_vae_run(path: Path, dim: int = 3, **options) -> VAE:
    """A run directory as ``fit`` leaves it, of an untrained VAE on small glyphs."""
    torch.manual_seed(0)
    vae = VAE((1, 28, 28), latent_dim=dim, hidden=[32], **options)
    (path / "checkpoints").mkdir(parents=True, exist_ok=True)
    torch.save(
        {
            "state_dict": vae.state_dict(),
            "hyper_parameters": dict(vae.hparams),
            "pytorch-lightning_version": pytorch_lightning.__version__,
        },
        path / "checkpoints/best.ckpt",
    )
    data = {"class_path": "datamodules.glyphs.GlyphDataModule", "init_args": GLYPHS}
    (path / "config.yaml").write_text(yaml.safe_dump({"data": data}))
    return vae
