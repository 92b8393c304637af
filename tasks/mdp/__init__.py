"""Decision processes and matrix games.

`task.DecisionProcess` and `game_task.MatrixGame` are the commands; the algorithms work without::

    from tasks.mdp.environment import space_exploration
    from tasks.mdp.solvers import PolicyIteration

    found = PolicyIteration().solve(space_exploration())
    print(found.v, found.policy, found.bound)  # bound: how far v can be from v_*
"""
