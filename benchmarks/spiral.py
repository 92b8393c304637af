"""How long score models take: sampling, and the Hyvärinen loss against what it cannot do without.

    python benchmarks/spiral.py

Loss: one training step's loss and gradient for a batch, d = 2, 8 and 20. The bare evaluations are
d + 1 times the network's forward and backward passes, in one batch: the least that an exact trace
by forward differentiation can cost. Contestants take turns, and each round's ratio is that of
neighbours in time, so that a machine whose speed drifts favours none.

Sampling: 10,000 points and 300 steps with the exact and with a learned score.
"""

import warnings
from collections.abc import Callable
from functools import partial

import torch
from timing import benchmark_parser, in_turns, median_ratio, spread, timed
from torch import Tensor
from torch.autograd import grad

from datamodules.spiral import spiral_centres
from lightning_modules.functional.mixture import MixtureScore
from lightning_modules.functional.samplers import EulerMaruyama
from lightning_modules.functional.schedule import LinearSchedule
from lightning_modules.functional.score import DifferentiableScore
from lightning_modules.functional.score_matching import hyvarinen
from lightning_modules.nets.inputs import DampedFourier
from lightning_modules.nets.score_net import ScoreMLP

Contestant = Callable[[ScoreMLP, Tensor, Tensor], Tensor]
"""(network, x ``(B, d)``, k ``(B,)``) → something whose gradient is asked for."""


def bare(net: ScoreMLP, x: Tensor, k: Tensor) -> Tensor:
    """The network on d + 1 times the batch."""
    times = x.shape[1] + 1
    return net(x.repeat(times, 1), k.repeat(times)).square().sum()


def forward_mode(net: ScoreMLP, x: Tensor, k: Tensor) -> Tensor:
    """The loss with derivatives carried forward by hand, as trained."""
    return hyvarinen(*net.with_trace(x, k)).mean()


def torch_func(net: ScoreMLP, x: Tensor, k: Tensor) -> Tensor:
    """The loss with ``torch.func.vmap(jvp)``."""
    s, columns = DifferentiableScore.pushforward(net, x, k, torch.eye(x.shape[1]).unsqueeze(1))
    return hyvarinen(s, columns.diagonal(dim1=0, dim2=2).sum(1)).mean()


def reverse_mode(net: ScoreMLP, x: Tensor, k: Tensor) -> Tensor:
    """The loss with one backward pass per dimension, as it is usually written."""
    x = x.requires_grad_()
    s = net(x, k)
    columns = [grad(s[:, i].sum(), x, create_graph=True)[0][:, i] for i in range(x.shape[1])]
    return hyvarinen(s, torch.stack(columns).sum(0)).mean()


CONTESTANTS: dict[str, Contestant] = {
    "bare network evaluations": bare,
    "elbolab, forward by hand": forward_mode,
    "torch.func.vmap(jvp)": torch_func,
    "reverse-mode autograd": reverse_mode,
}


def losses(d: int, batch: int, hidden: list[int], rounds: int) -> None:
    """Prints milliseconds per loss and gradient, and their ratio to the bare evaluations."""
    torch.manual_seed(0)
    schedule = LinearSchedule()
    net = ScoreMLP(d, schedule, hidden, inputs=DampedFourier)
    x, k = torch.randn(batch, d), torch.randint(1, schedule.steps + 1, (batch,))

    def milliseconds(contestant: Contestant) -> float:
        def thrice() -> None:
            for _ in range(3):
                net.zero_grad()
                contestant(net, x.clone(), k).backward()

        return 1000 * timed(thrice)[0] / 3

    ms = in_turns({n: partial(milliseconds, c) for n, c in CONTESTANTS.items()}, rounds, warm_up=2)
    print(f"\nd = {d}, batch {batch}, hidden {hidden}, {torch.get_num_threads()} threads")
    print("| | ms, median (min – max) | × bare |")
    print("|---|---|---|")
    for name, taken in ms.items():
        ratio = median_ratio(taken, ms["bare network evaluations"])
        print(f"| {name} | {spread(taken)} | {ratio:.2f} |")


@torch.no_grad()
def sampling(points: int, hidden: list[int], rounds: int) -> None:
    """Prints seconds for ``points`` samples of 300 steps."""
    schedule = LinearSchedule()
    contestants = {
        "exact score (500 components)": MixtureScore(spiral_centres(500, 3, 2.0), 0.05, schedule),
        f"network {hidden}": ScoreMLP(2, schedule, hidden, inputs=DampedFourier),
    }

    def seconds(name: str) -> float:
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(points, 2, generator=generator)
        return timed(lambda: EulerMaruyama()(contestants[name], x, schedule, generator))[0]

    times = in_turns({name: partial(seconds, name) for name in contestants}, rounds)
    print(f"\n{points} samples, {schedule.steps} steps, {torch.get_num_threads()} threads")
    print("| | seconds, median (min – max) |")
    print("|---|---|")
    for name, taken in times.items():
        print(f"| {name} | {spread(taken)} |")


def main() -> None:
    """Runs all and prints tables."""
    parser = benchmark_parser(__doc__, rounds=15)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--hidden", type=int, nargs="+", default=[128, 128, 128])
    parser.add_argument("--points", type=int, default=10_000)
    parser.add_argument("--sampling_rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")
    for d in (2, 8, 20):
        losses(d, options.batch, options.hidden, options.rounds)
    if options.sampling_rounds:
        sampling(options.points, options.hidden, options.sampling_rounds)


if __name__ == "__main__":
    main()
