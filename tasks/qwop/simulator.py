"""How far plans take the runner: one plan, many plans, and every point's way."""

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numba.core import config
from numpy.typing import ArrayLike

from elbolab.errors import UserError
from tasks.arrays import Floats
from tasks.qwop.body import EARTH, GENES, POINTS, SEGMENT_STEPS, SEGMENTS
from tasks.qwop.physics import ALIVE, DISTANCE, LANES, STEPS, initial_state, race, record_steps

__all__ = ["Gait", "as_plans", "simulate", "simulate_batch", "trace_plan"]

PLANS_PER_THREAD = 64
"""A thread for fewer plans costs more than it saves."""


class Gait(NamedTuple):
    """What a runner did.

    Attributes:
        distance: x of the head at the end.
        fell: Whether hip or head touched the ground.
        points: ``(steps + 1, 6, 2)``, x and y of all points from the start to the end.
    """

    distance: float
    fell: bool
    points: Floats


def simulate(plan: ArrayLike) -> float:
    """The distance of one plan: x of the head after a fall or 200 steps.

    Args:
        plan: 40 numbers, hip and knee command of each segment in turn, clipped to [−1, 1].

    Raises:
        UserError: If they are not 40 finite numbers.
    """
    return float(simulate_batch(as_plans(plan, ndim=1))[0])


def simulate_batch(plans: ArrayLike, threads: int | None = None) -> Floats:
    """The distances ``(B,)`` of plans ``(B, 40)``.

    A plan's distance is the same, bit for bit, alone and in any batch, on any number of threads.

    Args:
        plans: Hip and knee command of each segment in turn, clipped to [−1, 1].
        threads: At most so many work at once. Default: ``NUMBA_NUM_THREADS``, or one for each
            processor.

    Raises:
        UserError: If the shape is another one, or a number is not finite.
    """
    checked = as_plans(plans, ndim=2)
    distances = np.empty(len(checked))
    count = min(
        threads or config.NUMBA_NUM_THREADS,  # pyright: ignore[reportAttributeAccessIssue]
        -(-len(checked) // PLANS_PER_THREAD),
    )
    if count <= 1:
        race(checked, distances, initial_state(), EARTH)
        return distances
    shares = zip(np.array_split(checked, count), np.array_split(distances, count), strict=True)
    with ThreadPoolExecutor(count) as pool:  # the compiled loop holds no lock
        jobs = [pool.submit(race, *share, initial_state(), EARTH) for share in shares]
    for job in jobs:
        job.result()
    return distances


def trace_plan(plan: ArrayLike) -> Gait:
    """The distance of one plan and the way of all points.

    Raises:
        UserError: If the plan is not 40 finite numbers.
    """
    genes = as_plans(plan, ndim=1)
    points = np.empty((SEGMENTS * SEGMENT_STEPS + 1, POINTS, 2))
    state = initial_state()
    record_steps(genes, state, points, EARTH)
    steps = int(state[STEPS * LANES])
    fell = state[ALIVE * LANES] == 0.0
    return Gait(float(state[DISTANCE * LANES]), bool(fell), points[: steps + 1].copy())


def as_plans(plans: ArrayLike, ndim: int) -> Floats:
    """Checked plans ``(B, 40)``, clipped to [−1, 1].

    Args:
        plans: One plan or a batch of them.
        ndim: 1 for one plan, 2 for a batch.

    Raises:
        UserError: If they are no numbers, of another shape, or not all finite.
    """
    try:
        numbers = np.asarray(plans)
        if numbers.dtype.kind not in "iuf":
            raise TypeError(f"{numbers.dtype.name}")
        numbers = np.asarray(numbers, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(f"a plan is {GENES} numbers, got something else: {error}.") from error
    wanted = f"({GENES},)" if ndim == 1 else f"(plans, {GENES})"
    if numbers.ndim != ndim or numbers.shape[-1] != GENES:
        raise UserError(f"shape {numbers.shape} is no {wanted}: a plan is {GENES} numbers.")
    if not np.isfinite(numbers).all():
        raise UserError(f"a plan is {GENES} finite numbers, got NaN or infinity.")
    return np.clip(np.atleast_2d(numbers), -1.0, 1.0)
