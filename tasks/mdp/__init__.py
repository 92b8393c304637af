"""Decision processes and matrix games.

`task.DecisionProcess` and `game_task.MatrixGame` are the commands; the algorithms work without::

    from tasks.mdp.environment import space_exploration
    from tasks.mdp.solvers import PolicyIteration

    found = PolicyIteration().solve(space_exploration())
    print(found.v, found.policy, found.bound)  # bound: how far v can be from v_*
"""

import sys

__all__ = ["register_environments"]


def register_environments() -> None:
    """Makes ``gymnasium.make("SpaceExploration-v0")`` known; a second call changes nothing."""
    from gymnasium.envs.registration import register, registry

    if "SpaceExploration-v0" not in registry:
        register(
            "SpaceExploration-v0",
            entry_point="tasks.mdp.environment:SpaceExploration",
            max_episode_steps=100,
        )


if "gymnasium" in sys.modules:  # gymnasium.make("tasks.mdp:…") imports this; --help does not wait
    register_environments()
