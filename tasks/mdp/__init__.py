"""Markov decision processes.

`task.DecisionProcess` is the command; the algorithms work without::

    from tasks.mdp.environment import space_exploration
    from tasks.mdp.solution import solve
    from tasks.mdp.solvers import ValueIteration

    solution = solve(space_exploration(), ValueIteration(tolerance=1e-6))
    print(solution.v, solution.policy, solution.bound)  # bound: how far v can be from v_*
"""
