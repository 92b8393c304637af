"""The runner's step: closed forms, conservation, symmetry; and an independent simulator."""

import math

import numpy as np
import pytest
import qwop_fast

from elbolab.errors import UserError
from tasks.qwop.body import POINTS, World
from tasks.qwop.physics import (
    ALIVE,
    COMMANDS,
    DISTANCE,
    HEAD,
    LANES,
    advance,
    arctan2,
    initial_state,
)
from tasks.qwop.simulator import simulate, simulate_batch, trace_plan

CHECK = """
-0.704145 0.918923 0.601930 -0.854984 -0.732656 -0.954028 0.183273 0.329492 0.881201 0.996588
-0.085373 -0.680869 -0.480875 -0.179579 -0.299167 -0.809113 0.592342 0.743240 -0.040156 0.863114
0.524515 0.236824 0.864455 0.988886 -0.838303 -0.843065 0.016072 -0.751476 0.424378 0.768947
-0.678933 -0.686788 -0.095773 -0.759903 -0.392481 -0.888618 0.259479 -0.649286 0.031201 -0.470888
"""
CHECK_PLAN = np.array(CHECK.split(), dtype=float)
MASSES = np.array([30.0, 10, 5, 10, 5, 10])
EDGES = {(0, 1): (0.5, 160), (1, 2): (0.5, 180), (0, 3): (0.5, 160), (3, 4): (0.5, 180)}
EDGES[0, 5] = (0.9, 160)
LIMP = World(dt=1e-3, gravity=0.0, damping=0.0, bending=0.0, friction=0.0)
"""Nothing but the edges' springs."""


def random_plans(count, seed=0, scale=1.0):
    return np.random.default_rng(seed).uniform(-scale, scale, (count, 40))


def flying(height=100.0, noise=0.05, seed=0):
    """A state far above the ground, stretched, and moving at random, with its legs commanded."""
    state = initial_state().reshape(-1, LANES)
    generator = np.random.default_rng(seed)
    state[: 4 * POINTS, 0] += generator.normal(scale=noise, size=4 * POINTS)
    state[POINTS : 2 * POINTS, 0] += height
    state[COMMANDS:, 0] = 0.3, -0.2, 0.3, -0.2
    return state.ravel()


def parts(state):
    """Positions and velocities (6, 2) of the first lane."""
    x, y, vx, vy = state.reshape(-1, LANES)[: 4 * POINTS, 0].reshape(4, POINTS)
    return np.stack([x, y], 1), np.stack([vx, vy], 1)


def energy(state):
    """Kinetic energy and that of the edges.

    An edge's force (L − s) k (s − 0.01)/s, with s = |d| + 0.01, is the slope of the potential
    k (s²/2 − (L + 0.01) s + 0.01 L log s).
    """
    points, velocities = parts(state)
    total = 0.5 * float(MASSES @ (velocities**2).sum(1))
    for (start, end), (length, stiffness) in EDGES.items():
        s = math.dist(points[end], points[start]) + 0.01
        total += stiffness * (s**2 / 2 - (length + 0.01) * s + 0.01 * length * math.log(s))
    return total


def test_the_check_plan_travels_as_far_as_the_reference_says():
    assert simulate(CHECK_PLAN) == pytest.approx(5.7367, abs=1e-4)


def test_distances_are_those_of_an_independent_simulator():
    """Plans from all over, of which most fall, and plans near a good one, which mostly do not."""
    near = CHECK_PLAN + np.random.default_rng(1).normal(scale=0.05, size=(1000, 40))
    plans = np.clip(np.concatenate([random_plans(2000), near]), -1, 1)
    ours, theirs = simulate_batch(plans), np.array(qwop_fast.sim_batch(plans))
    assert np.mean(np.abs(ours - theirs) < 1e-6) > 0.995  # rounding may grow in a chaotic few
    assert ours.std() > 1


def test_the_arc_tangent_is_right_to_the_last_place():
    generator = np.random.default_rng(0)
    values = [
        *generator.normal(size=(20_000, 2)),
        (0, 1),
        (0, -1),
        (1, 0),
        (-1, 0),
        (1, 1),
        (-1, 1),
    ]
    for y, x in values:
        exact = math.atan2(y, x)
        assert abs(arctan2(y, x) - exact) <= 2 * math.ulp(exact)
    assert arctan2(0.0, 0.0) == 0.0


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_distance_is_the_same_alone_in_any_batch_and_on_any_number_of_threads(threads):
    plans = random_plans(300, scale=0.7)
    together = simulate_batch(plans, threads)
    np.testing.assert_array_equal(together, [simulate(plan) for plan in plans])
    np.testing.assert_array_equal(together[::-7], simulate_batch(plans[::-7], threads))
    np.testing.assert_array_equal(together, [trace_plan(plan).distance for plan in plans])


def test_a_trajectory_begins_at_rest_and_ends_with_a_fall_or_after_200_steps():
    start = [(0, 1), (0, 0.5), (-0.25, 0), (0.25, 0.5), (0.25, 0), (0.15, 1.9)]
    for plan in random_plans(50):
        gait = trace_plan(plan)
        np.testing.assert_array_equal(gait.points[0], start)
        assert gait.points[-1, HEAD, 0] == gait.distance
        low = gait.points[:-1, [0, HEAD], 1].min(1) <= 0
        assert not low[:-1].any()
        assert low[-1] == gait.fell
        assert gait.fell or len(gait.points) == 201


def test_what_lies_outside_is_clipped():
    plans = random_plans(100, scale=3)
    np.testing.assert_array_equal(simulate_batch(plans), simulate_batch(np.clip(plans, -1, 1)))


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (np.zeros(39), r"shape \(39,\) is no \(40,\): a plan is 40 numbers"),
        (np.zeros((2, 40)), r"shape \(2, 40\) is no \(40,\)"),
        ([0.0] * 39 + [np.nan], "finite numbers, got NaN or infinity"),
        ([0.0] * 39 + [np.inf], "finite numbers, got NaN or infinity"),
        (["run"] * 40, "a plan is 40 numbers, got something else"),
        (["0.5"] * 40, "a plan is 40 numbers, got something else"),
        ([[0.0] * 40, [0.0]], "a plan is 40 numbers, got something else"),
        (None, "a plan is 40 numbers, got something else"),
    ],
)
def test_what_is_no_plan_is_refused_with_a_sentence(plan, message):
    with pytest.raises(UserError, match=message):
        simulate(plan)


def test_a_batch_has_two_dimensions_and_may_be_empty():
    with pytest.raises(UserError, match=r"is no \(plans, 40\)"):
        simulate_batch(np.zeros(40))
    assert simulate_batch(np.zeros((0, 40))).shape == (0,)


def test_the_centre_of_mass_falls_freely():
    """Inner forces cancel, whatever the legs do: x moves on, y gains −dt² g k(k + 1)/2."""
    state, world = flying(), World(friction=0.0)
    (start, velocity), steps = parts(state), 50
    for _ in range(steps):
        advance(state, 1.0, world)
    mean, drift = MASSES @ start / MASSES.sum(), MASSES @ velocity / MASSES.sum()
    fallen = np.array([0, world.gravity * world.dt**2 * steps * (steps + 1) / 2])
    expected = mean + world.dt * steps * drift - fallen
    np.testing.assert_allclose(MASSES @ parts(state)[0] / MASSES.sum(), expected, atol=1e-10)


def test_momentum_is_kept_without_gravity():
    state, world = flying(), World(gravity=0.0, friction=0.0)
    before = MASSES @ parts(state)[1]
    for _ in range(100):
        advance(state, 1.0, world)
    np.testing.assert_allclose(MASSES @ parts(state)[1], before, atol=1e-10)


def test_springs_keep_the_angular_momentum():
    def spin(points, velocities):
        return MASSES @ (points[:, 0] * velocities[:, 1] - points[:, 1] * velocities[:, 0])

    state = flying(height=3.0)
    before = spin(*parts(state))
    for _ in range(500):
        advance(state, 1.0, LIMP)
    assert spin(*parts(state)) == pytest.approx(before, abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_springs_keep_their_energy_in_the_limit_of_short_steps(seed):
    """The error is of the first order in the step: half the step, half the error."""
    errors = []
    for dt in (1e-3, 5e-4):
        state = flying(seed=seed)
        start, worst = energy(state), 0.0
        for _ in range(round(0.5 / dt)):
            advance(state, 1.0, LIMP._replace(dt=dt))
            worst = max(worst, abs(energy(state) - start))
        errors.append(worst)
    assert errors[1] == pytest.approx(errors[0] / 2, rel=0.1)


def test_damping_takes_energy_and_friction_stops_a_foot():
    state, before = flying(), energy(flying())
    for _ in range(500):
        advance(state, 1.0, LIMP._replace(damping=1.0))
    assert energy(state) < before
    gait = trace_plan(CHECK_PLAN)
    foot = gait.points[:, 2]
    grounded = (foot[:-1, 1] <= 0) & (foot[1:, 1] == 0)
    assert grounded.any()
    assert np.abs(np.diff(foot[:, 0])[grounded]).min() == 0


def test_exchanging_the_legs_and_both_commands_changes_nothing():
    """Leg B with hip command −h and knee command −g is leg A with h and g: the equations say so."""
    swapped = [0, 3, 4, 1, 2, 5]
    state = flying(height=0.2)
    other = state.reshape(-1, LANES).copy()
    rows = np.concatenate([np.array(swapped) + POINTS * k for k in range(4)])
    other[: 4 * POINTS] = other[rows]
    other[COMMANDS:] *= -1
    other = other.ravel()
    for _ in range(60):
        advance(state, 0.5, World())
        advance(other, 0.5, World())
    one, two = parts(state), parts(other)
    np.testing.assert_allclose(two[0], one[0][swapped], atol=1e-9)
    np.testing.assert_allclose(two[1], one[1][swapped], atol=1e-9)
    assert state[DISTANCE * LANES] == pytest.approx(other[DISTANCE * LANES], abs=1e-9)
    assert state[ALIVE * LANES] == other[ALIVE * LANES]
