"""Zero-sum matrix games.

`task.MatrixGame` is the command; the algorithms work without::

    from tasks.game.equilibrium import solve_game
    from tasks.game.model import ROCK_PAPER_SCISSORS

    print(solve_game(ROCK_PAPER_SCISSORS).value)
"""
