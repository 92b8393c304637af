"""What fewer steps cost: images per second, accuracy and Fréchet distance of 10,000 digits.

    python benchmarks/latent_sampling.py --run runs/conditional_score --judge runs/digit_classifier

needs a fitted `configs/conditional_score.yaml` and `configs/digit_classifier.yaml`. All samplers
start from the same noise and are asked for the same digits with guidance 0.5, decoding included;
the judge's time is not counted. The samplers take turns, several rounds in one process; a speed is
the median of its rounds.
"""

from pathlib import Path
from statistics import median

import torch
from timing import benchmark_parser, timed
from torch import Generator

from callbacks.monitors.generation_quality import Judge, frechet_distance
from datamodules.latents import LatentDataModule
from lightning_modules.conditional_score import ConditionalScore
from lightning_modules.functional.samplers import (
    Ancestral,
    EulerFlow,
    EulerMaruyama,
    HeunFlow,
    Sampler,
)

GUIDANCE = 0.5
SAMPLERS: dict[str, Sampler] = {
    "Euler–Maruyama, 300": EulerMaruyama(),
    "Euler–Maruyama, 30": EulerMaruyama(30),
    "ancestral, 30": Ancestral(30),
    "Euler, ODE, 30": EulerFlow(30),
    "Heun, 30": HeunFlow(30),
    "Heun, 15": HeunFlow(15),
}


def main() -> None:
    """Prints the table."""
    parser = benchmark_parser(__doc__, rounds=3)
    parser.add_argument("--run", default="runs/conditional_score")
    parser.add_argument("--judge", default="runs/digit_classifier")
    parser.add_argument("--samples", type=int, default=10_000)
    options = parser.parse_args()
    path = Path(options.run, "checkpoints/best.ckpt")
    model = ConditionalScore.load_from_checkpoint(path, map_location="cpu", weights_only=True)
    model.eval()
    judge, data = Judge(options.judge, model), LatentDataModule(options.run)
    data.images.prepare_data()
    data.images.setup("test")
    real = torch.cat([x for x, _ in data.images.test_dataloader()])
    features = judge.features(real)
    y = torch.arange(options.samples) % model.classes
    seconds: dict[str, list[float]] = {name: [] for name in SAMPLERS}
    images = {}
    for _ in range(options.rounds):
        for name, sampler in SAMPLERS.items():
            model.sampler, generator = sampler, Generator().manual_seed(0)
            taken, images[name] = timed(
                lambda g=generator: model.sample(options.samples, g, y=y, guidance=GUIDANCE)
            )
            seconds[name].append(taken)
    slowest = median(seconds["Euler–Maruyama, 300"])
    print("| sampler, steps | images a second | × as fast | accuracy | Fréchet distance |")
    print("|---|---|---|---|---|")
    for name, drawn in images.items():
        taken = median(seconds[name])
        accuracy = judge.right(drawn, y).mean().item()
        distance = frechet_distance(features, judge.features(drawn)).item()
        print(
            f"| {name} | {options.samples / taken:,.0f} | {slowest / taken:.2f} "
            f"| {accuracy:.2%} | {distance:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
