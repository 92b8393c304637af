"""The images that a finished run was fitted to, built again from its configuration."""

from argparse import ArgumentError
from pathlib import Path

import yaml
from jsonargparse import ArgumentParser

from datamodules.images import ImageDataModule
from elbolab.errors import UserError
from elbolab.run_directory import RunDirectory
from lightning_modules.stored_options import check_names

__all__ = ["images_of"]


def images_of(run: RunDirectory) -> ImageDataModule:
    """The data module of the run's configuration, or of its VAE's where its data are latents.

    Raises:
        UserError: If the configuration names no images.
    """
    try:
        data = yaml.safe_load(run.config.read_text())["data"]
        vae_run = data["init_args"].get("vae_run")
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise _no_images(run) from error
    if vae_run:
        return images_of(RunDirectory(Path(vae_run)))
    check_names(data, str(run.config))  # another run's, and perhaps a stranger's
    try:
        return _built(data)
    except (ValueError, KeyError, TypeError, ArgumentError) as error:
        raise _no_images(run) from error


def _no_images(run: RunDirectory) -> UserError:
    return UserError(
        f"{run.config} names no data set of images: give one with --data.images, such as "
        "--data.images MNISTDataModule."
    )


def _built(data: dict[str, object]) -> ImageDataModule:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(ImageDataModule, "data", required=True)
    return parser.instantiate_classes(parser.parse_object({"data": data}))["data"]
