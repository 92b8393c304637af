"""How close NICE's training step comes to its matrix products, and how fast it scores images.

    python benchmarks/nice.py                 on the CPU, and on a GPU where there is one

The floor is the time of the matrix products of one step alone: for each linear layer the product
of the forward pass, and those for the gradients of its weights and of its inputs. The step is
dequantisation, forward and backward pass and Adam. The same for scoring: `log_likelihood` of a
stream of batches against its forward products. The contestants take turns in every round, and
ratios are those of neighbours in time. On a GPU: float32, TF32 and bf16 autocast.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import torch
from timing import benchmark_parser, in_turns, median_ratio, resident_memory, spread, timed
from torch import Tensor, nn

from lightning_modules.nice import NICE

MIB = 2**20


@dataclass(frozen=True)
class Precision:
    """How products are computed: the name, what PyTorch calls it, and whether autocast is on."""

    name: str
    matmul: str
    autocast: bool


FLOAT32 = Precision("float32", "highest", False)
ON_GPU = (FLOAT32, Precision("TF32", "high", False), Precision("bf16 autocast", "highest", True))


@contextmanager
def computing(precision: Precision, device: torch.device) -> Iterator[None]:
    """Computes in that precision, within."""
    torch.set_float32_matmul_precision(precision.matmul)
    with torch.autocast(device.type, torch.bfloat16) if precision.autocast else nullcontext():
        yield
    torch.set_float32_matmul_precision("highest")


def milliseconds(run: Callable[[], object], device: torch.device) -> float:
    """Time of one call, until the device is done."""

    def until_done() -> None:
        run()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return 1000 * timed(until_done)[0]


def products(model: NICE, batch: int, kind: torch.dtype, backward: bool) -> Callable[[], None]:
    """The matrix products of one forward pass, and of one backward pass where asked for."""
    layers = [layer for layer in model.shifts.modules() if isinstance(layer, nn.Linear)]
    weights = [layer.weight.detach().to(kind) for layer in layers]
    inputs = [w.new_ones(batch, w.shape[1]) for w in weights]
    outputs = [w.new_ones(batch, w.shape[0]) for w in weights]

    def run() -> None:
        for number, (w, x, y) in enumerate(zip(weights, inputs, outputs, strict=True)):
            torch.mm(x, w.T)
            if backward:
                torch.mm(y.T, x)
                if number > 0:  # the data has no gradient
                    torch.mm(y, w)

    return run


def training_step(model: NICE, images: Tensor) -> Callable[[], None]:
    """One step of the module with fused Adam."""
    optimizer: Any = model.configure_optimizers()

    def run() -> None:
        optimizer.zero_grad()
        model.training_step((images,), 1)["loss"].backward()
        optimizer.step()

    return run


def scoring(model: NICE, images: Tensor) -> Callable[[], None]:
    """Likelihoods of one batch of the stream."""

    def run() -> None:
        with torch.no_grad():
            model.log_likelihood(images)

    return run


@dataclass(frozen=True)
class AgainstFloor:
    """Times something and its floor in turns, the first round to warm up.

    Args:
        precision: How products are computed.
        device: Where.
        rounds: How often.
    """

    precision: Precision
    device: torch.device
    rounds: int

    def print_row(
        self, label: str, batch: int, own: Callable[[], object], floor: Callable[[], object]
    ) -> None:
        """One line of the table."""
        contestants = {"own": own, "floor": floor}
        with computing(self.precision, self.device):
            ms = in_turns(
                {n: partial(milliseconds, run, self.device) for n, run in contestants.items()},
                self.rounds,
                warm_up=1,
            )
        ratio, speed = median_ratio(*ms.values()), 1000 * batch / median(ms["own"])
        cells = (f"{label}, {self.precision.name}", batch, *map(spread, ms.values()))
        print("|", *(f"{cell} |" for cell in cells), f"{ratio:.2f} | {speed:,.0f} |", flush=True)


def most_memory(device: torch.device) -> float:
    """MiB: allocated on a GPU; resident in this process, libraries included, on the CPU."""
    return torch.cuda.max_memory_allocated() / MIB if device.type == "cuda" else resident_memory()


def main() -> None:
    """Prints one table per device."""
    parser = benchmark_parser(__doc__, rounds=15)
    parser.add_argument("--batches", type=int, nargs="+", default=[200, 256, 500])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{options.rounds} rounds, {options.threads} CPU threads")
    for name in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        device = torch.device(name)
        print(f"\n{torch.cuda.get_device_name() if name == 'cuda' else 'CPU'}")
        print("| | batch | elbolab, ms (min – max) | products, ms (min – max) | × | images/s |")
        print("|---|---|---|---|---|---|")
        for precision in ON_GPU if name == "cuda" else (FLOAT32,):
            measure(AgainstFloor(precision, device, options.rounds), options.batches)
        print(f"peak memory {most_memory(device):,.0f} MiB")


def measure(table: AgainstFloor, batches: list[int]) -> None:
    """Training at each batch size; scoring in batches of 1,000, in float32 whatever training is."""
    precision, device = table.precision, table.device
    model = NICE((1, 28, 28)).to(device)
    for batch in batches:
        images = torch.rand(batch, 1, 28, 28, device=device)
        kind = torch.bfloat16 if precision.autocast else torch.float32
        floor = products(model, batch, kind, backward=True)
        table.print_row("training step", batch, training_step(model, images), floor)
    if not precision.autocast:
        images = torch.rand(1000, 1, 28, 28, device=device)
        floor = products(model, 1000, torch.float32, backward=False)
        table.print_row("scoring", 1000, scoring(model, images), floor)


if __name__ == "__main__":
    main()
