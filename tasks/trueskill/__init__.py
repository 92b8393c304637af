"""TrueSkill: skills of teams from who beat whom.

`task.TrueSkill` is the command; it imports the algorithms when it runs. They work without it::

    from tasks.trueskill.filtering import RunningRatings
    from tasks.trueskill.model import Rating, SkillModel

    ratings = RunningRatings(SkillModel(), [Rating(25, 70), Rating(25, 70)])
    ratings.observe(0, 1, +1)  # the first beat the second
    print(ratings.mean, ratings.variance)
"""
