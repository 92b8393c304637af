"""QWOP-v0 as Gymnasium sees it."""

import subprocess
import sys
import warnings

import gymnasium
import numpy as np
import pytest
from conftest import ROOT
from gymnasium.utils.env_checker import check_env

from elbolab.errors import UserError
from tasks.qwop.files import best_plan
from tasks.qwop.simulator import simulate, trace_plan


def plans():
    """Some that fall, some that do not, some outside the bounds."""
    generator = np.random.default_rng(0)
    near = best_plan() + generator.normal(scale=0.02, size=(5, 40))
    return [best_plan(), *near, *generator.uniform(-1.3, 1.3, (20, 40))]


def roll_out(env, plan):
    """Everything that an episode gives, until its end."""
    given = [env.reset(seed=0)]
    for action in plan.reshape(20, 2):
        given.append(env.step(action))
        if given[-1][2] or given[-1][3]:
            break
    return given


@pytest.fixture
def env():
    made = gymnasium.make("tasks.environments:QWOP-v0", render_mode="rgb_array")
    yield made
    made.close()


def test_gymnasium_has_nothing_to_say_but_that_lengths_have_no_bound(env):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        check_env(env.unwrapped)
    assert all("infinity" in str(warning.message) for warning in said)


def test_a_roll_out_ends_at_exactly_the_distance_of_simulate(env):
    ends = set()
    for plan in plans():
        _, *steps = roll_out(env, plan)
        _, _, terminated, truncated, info = steps[-1]
        gait = trace_plan(plan)
        assert info["distance"] == simulate(plan)
        assert sum(step[1] for step in steps) == pytest.approx(simulate(plan) - 0.15)
        assert terminated == gait.fell
        assert truncated == (not gait.fell)
        assert len(steps) == -(-(len(gait.points) - 1) // 10)
        ends.add(terminated)
    assert ends == {True, False}


def test_observations_are_what_the_documentation_says(env):
    plan = best_plan()
    gait = trace_plan(plan)
    for segment, (seen, *_) in enumerate(roll_out(env, plan)):
        points = gait.points[min(10 * segment, len(gait.points) - 1)]
        assert seen.shape == (28,)
        assert seen[0] == points[0, 0]
        np.testing.assert_allclose(seen[1:6] + seen[0], points[1:, 0], atol=1e-12)
        np.testing.assert_array_equal(seen[6:12], points[:, 1])
        if segment:
            before = gait.points[10 * segment - 1]
            np.testing.assert_allclose(seen[12:18] * 0.1, points[:, 0] - before[:, 0], atol=1e-12)
        expected = plan[2 * segment - 2 : 2 * segment] if segment else (0.5, 0)
        np.testing.assert_array_equal(seen[24:26], expected)
        assert seen[26] == segment / 20


def test_two_roll_outs_are_identical(env):
    one, two = ([step[0] for step in roll_out(env, best_plan())] for _ in range(2))
    np.testing.assert_array_equal(one, two)


def test_frames_follow_the_runner(env):
    env.reset()
    first = env.render()
    env.step(np.ones(2))
    assert first.shape == (240, 480, 3)
    assert first.dtype == np.uint8
    assert (env.render() != first).any()


@pytest.mark.parametrize("action", [np.zeros(3), np.array([0, np.nan]), 0.5])
def test_what_is_no_action_is_refused(env, action):
    env.reset()
    with pytest.raises(UserError, match="an action is two finite numbers"):
        env.unwrapped.step(action)


def test_a_step_after_the_end_is_refused(env):
    roll_out(env, best_plan())
    with pytest.raises(UserError, match="the episode is over: call reset"):
        env.unwrapped.step(np.zeros(2))


def test_an_unknown_render_mode_is_refused():
    from tasks.qwop.environment import QWOPEnv

    with pytest.raises(UserError, match="render_mode must be rgb_array, human or None, got ascii"):
        QWOPEnv("ascii")


def test_a_window_needs_a_display(monkeypatch):
    monkeypatch.setattr("tasks.qwop.window.plt.get_backend", lambda: "agg")
    env = gymnasium.make("tasks.environments:QWOP-v0", render_mode="human")
    env.reset()
    with pytest.raises(UserError, match="render_mode human needs a display"):
        env.step(np.zeros(2))
    env.close()


def test_a_window_shows_every_step_and_is_closed(monkeypatch):
    """On a canvas without a window, which takes the same calls."""
    import matplotlib.pyplot as plt

    plt.switch_backend("agg")
    waited = []
    monkeypatch.setattr("tasks.qwop.window.plt.get_backend", lambda: "tkagg")
    loop = "matplotlib.backend_bases.FigureCanvasBase.start_event_loop"
    monkeypatch.setattr(loop, lambda self, timeout: waited.append(timeout))
    monkeypatch.setattr("tasks.qwop.window.plt.show", lambda block: None)
    env = gymnasium.make("tasks.environments:QWOP-v0", render_mode="human")
    steps = len(roll_out(env, best_plan())) - 1
    assert len(waited) == steps
    assert plt.fignum_exists("QWOP")
    env.close()
    assert not plt.fignum_exists("QWOP")


@pytest.mark.parametrize(
    "order", ["tasks.environments, gymnasium", "gymnasium, tasks.environments"]
)
@pytest.mark.parametrize("name", ["QWOP-v0", "SpaceExploration-v0"])
def test_importing_their_module_makes_environments_known_in_either_order(order, name):
    program = f"import {order}; gymnasium.make('{name}').reset()"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_module_named_before_the_environment_need_not_be_imported():
    program = "import gymnasium; gymnasium.make('tasks.environments:QWOP-v0').reset()"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
