"""A task with a defect in its module."""

raise RuntimeError("first line\nsecond line")
