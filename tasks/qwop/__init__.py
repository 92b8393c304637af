"""QWOP: a planar runner, exactly simulated, and searches that teach it to run.

`task.QWOP` is the command. Without it::

    import gymnasium
    from tasks.qwop.simulator import simulate, simulate_batch

    distances = simulate_batch(plans)  # (B, 40) → (B,)
    env = gymnasium.make("tasks.environments:QWOP-v0")
"""
