"""The runner as a Gymnasium environment, ``QWOP-v0``."""

from typing import Any, ClassVar

import gymnasium
import numpy as np
from numpy.typing import NDArray

from elbolab.errors import UserError
from tasks.arrays import Floats
from tasks.qwop.body import EARTH, FIRST_COMMANDS, POINTS, SEGMENTS
from tasks.qwop.drawing import draw_frame
from tasks.qwop.physics import (
    ALIVE,
    DISTANCE,
    LANES,
    VX,
    give_commands,
    initial_state,
    play_segment,
)
from tasks.qwop.window import Window

__all__ = ["QWOPEnv"]


class QWOPEnv(gymnasium.Env[Floats, Floats]):
    """One step is one segment of a plan: ten steps of the simulator, 1 unit of time.

    **Action** ``(2,)`` in [−1, 1]: hip and knee command; what lies outside is clipped.

    **Observation** ``(28,)``, float64, in the units of the reference (the runner is 1.9 long):

    | index | meaning | unit |
    |---|---|---|
    | 0 | x of the hip, from the start | length |
    | 1–5 | x of knee A, foot A, knee B, foot B and head, from the hip | length |
    | 6–11 | y of hip, knee A, foot A, knee B, foot B, head, from the ground | length |
    | 12–17 | v_x of the six points | length / time |
    | 18–23 | v_y of the six points | length / time |
    | 24, 25 | hip and knee command of the segment before | in [−1, 1] |
    | 26 | segments played | share of 20 |
    | 27 | whether the runner is on its feet | 0 or 1 |

    **Reward**: by how much the head advanced; a whole episode's are the distance less 0.15, where
    the head begins. **Terminated** on a fall (hip or head touch the ground), **truncated** after 20
    segments. ``info["distance"]`` is the head's x, exactly what `simulate` gives for the plan.
    Nothing is random: every episode begins alike.

    Args:
        render_mode: ``rgb_array`` for frames ``(240, 480, 3)``, ``human`` for a window, or None.
    """

    metadata: ClassVar[dict[str, Any]] = {  # pyright: ignore[reportIncompatibleVariableOverride]
        "render_modes": ["rgb_array", "human"],
        "render_fps": 5,
    }

    def __init__(self, render_mode: str | None = None) -> None:
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise UserError(f"render_mode must be rgb_array, human or None, got {render_mode}.")
        self.render_mode = render_mode
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float64)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (28,), np.float64)
        self._window = Window() if render_mode == "human" else None
        self._state, self._plan, self._segment = initial_state(), np.zeros((1, 40)), 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Floats, dict[str, Any]]:
        super().reset(seed=seed)
        self._state, self._segment = initial_state(), 0
        return self._observation(), self._info()

    def step(self, action: Floats) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        """Plays one segment.

        Raises:
            UserError: If the action is not two finite numbers, the episode is over, or there is
                no display for a window.
        """
        if self._over:
            raise UserError("the episode is over: call reset before the next step.")
        before = self._info()["distance"]
        self._plan[0, 2 * self._segment : 2 * self._segment + 2] = _checked(action)
        give_commands(self._state, 0, self._plan, 0, self._segment)
        play_segment(self._state, EARTH)
        self._segment += 1
        self._show()
        fell, info = not self._alive, self._info()
        done = self._segment == SEGMENTS and not fell
        return self._observation(), info["distance"] - before, fell, done, info

    def render(self) -> NDArray[np.uint8] | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The frame of ``rgb_array``; a window shows itself."""
        return self._frame() if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        if self._window:
            self._window.close()

    @property
    def _alive(self) -> bool:
        return bool(self._state[ALIVE * LANES])

    @property
    def _over(self) -> bool:
        return self._segment == SEGMENTS or not self._alive

    def _info(self) -> dict[str, Any]:
        return {"distance": float(self._state[DISTANCE * LANES])}

    def _observation(self) -> Floats:
        seen = self._state[::LANES][: 4 * POINTS].copy()
        seen[1:POINTS] -= seen[0]
        before = self._plan[0, 2 * self._segment - 2 : 2 * self._segment]
        commands = before if self._segment else FIRST_COMMANDS
        return np.array([*seen, *commands, self._segment / SEGMENTS, self._alive])

    def _frame(self) -> NDArray[np.uint8]:
        return draw_frame(self._state[::LANES][:VX].reshape(2, POINTS).T)

    def _show(self) -> None:
        if self._window:
            self._window.show(self._frame(), 1 / self.metadata["render_fps"])


def _checked(action: Floats) -> Floats:
    commands = np.asarray(action, dtype=np.float64)
    if commands.shape != (2,) or not np.isfinite(commands).all():
        raise UserError(f"an action is two finite numbers, hip and knee, got {action}.")
    return np.clip(commands, -1.0, 1.0)
