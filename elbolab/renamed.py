"""What classes were called in version 0.1, so that an old configuration is answered with the new.

Old name → new name: of modules where all their classes moved together, else of classes.
"""

import re

__all__ = ["present_name", "renamed_in"]

MONITORS = "accuracy anomaly elbo generation_quality gradient_noise hyvarinen label_likelihoods"
MODULES = {
    **{f"callbacks.{name}": f"callbacks.monitors.{name}" for name in MONITORS.split()},
    "callbacks.likelihood": "callbacks.monitors.likelihood",
    "callbacks.spiral_quality": "callbacks.monitors.spiral_quality",
    "callbacks.stage_monitor": "callbacks.monitors.stage_monitor",
    "callbacks.latent_pictures": "callbacks.pictures.latent_pictures",
    "callbacks.latent_space": "callbacks.pictures.latent_space",
    "callbacks.point_pictures": "callbacks.pictures.point_pictures",
    "callbacks.trajectory": "callbacks.pictures.trajectory",
    "callbacks.checkpoints": "callbacks.run.checkpoints",
    "callbacks.predictions": "callbacks.run.predictions",
    "callbacks.resume": "callbacks.run.resume",
    "callbacks.run_record": "callbacks.run.run_record",
    "datamodules.kmnist": "datamodules.mnist",
    "datamodules.label_subset": "datamodules.images",
    "tasks.mdp.dynamics": "tasks.game.dynamics",
    "tasks.mdp.garnet": "tasks.mdp.options",
    "tasks.qwop.optimisers": "tasks.qwop.options",
    "tasks.trueskill.methods": "tasks.trueskill.options",
}
ANOMALY = "lightning_modules.functional.anomaly"
CLASSES = {
    f"{ANOMALY}.Score": f"{ANOMALY}.AnomalyScore",
    f"{ANOMALY}.Likelihood": f"{ANOMALY}.LikelihoodScore",
    f"{ANOMALY}.Typicality": f"{ANOMALY}.TypicalityScore",
    f"{ANOMALY}.LikelihoodAndComplexity": f"{ANOMALY}.ComplexityScore",
    "callbacks.latent_pictures.DigitRows": "callbacks.pictures.images.DigitRows",
    "callbacks.pictures.EpochPicture": "callbacks.pictures.epoch_picture.EpochPicture",
    "callbacks.pictures.ValidationPicture": "callbacks.pictures.epoch_picture.ValidationPicture",
    "callbacks.pictures.SampleGrid": "callbacks.pictures.images.SampleGrid",
    "callbacks.pictures.Reconstructions": "callbacks.pictures.images.Reconstructions",
    "callbacks.score_field.ScoreField": "callbacks.pictures.score_field.ScoreFieldPicture",
    "callbacks.spiral_activations.ReluAgainstSilu": "benchmarks/relu_against_silu.py (a script)",
    "tasks.mdp.learners.NoBaseline": "tasks.mdp.baselines.NoReturnBaseline",
    "tasks.mdp.learners.RunningMean": "tasks.mdp.baselines.MeanReturn",
    "tasks.mdp.learners.LeaveOneOut": "tasks.mdp.baselines.LeaveOneOutReturn",
    "tasks.mdp.learners.LearnedValue": "tasks.mdp.baselines.LearnedValue",
}
DOTTED = re.compile(r"\b(?:callbacks|datamodules|lightning_modules|tasks)(?:\.\w+)+")


def present_name(name: str) -> str | None:
    """What a class is called now; None where it still has its name, or never had one here.

    Args:
        name: A class path; of a class that was renamed, its own name alone will do.
    """
    if name in CLASSES:
        return CLASSES[name]
    module, _, last = name.rpartition(".")
    if module:
        return f"{MODULES[module]}.{last}" if module in MODULES else None
    short = {old.rpartition(".")[2]: new for old, new in CLASSES.items()}
    now = short.get(last)
    return None if now is None or now.endswith(f".{last}") else now.rpartition(".")[2]


def renamed_in(text: str) -> dict[str, str]:
    """Old class paths in a configuration's text, with what they are called now."""
    names = dict.fromkeys(DOTTED.findall(text))
    return {name: now for name in names if (now := present_name(name)) is not None}
