"""The Gymnasium environments of the tasks, known to Gymnasium once this module is imported.

Gymnasium, from version 1.0 on, looks for no plug-ins when it is imported: it knows an environment
once the module that registers it is imported, by ``import tasks.environments`` before or after
``import gymnasium``, or by naming the module::

    gymnasium.make("tasks.environments:QWOP-v0")

The environments' own modules are imported when one is made.
"""

import gymnasium

__all__: list[str] = []

gymnasium.register("QWOP-v0", "tasks.qwop.environment:QWOPEnv")
gymnasium.register(
    "SpaceExploration-v0", "tasks.mdp.environment:SpaceExploration", max_episode_steps=100
)
