"""The one kind of error that a person at the keyboard can mend, and the hints that go with it."""

import difflib
from collections.abc import Iterable

__all__ = ["UserError", "did_you_mean"]


class UserError(ValueError):
    """One readable line that names the thing, its value and the remedy.

    The command line prints it without a traceback and exits with code 2; used as a library it is
    an ordinary ``ValueError``. Anything else that is raised is a defect and keeps its traceback.
    """


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Returns ``" Did you mean 'x'?"`` for the closest of ``known``, or ``""`` when none is close.

    Dotted names also match by their last part, so that ``latent_dims`` finds ``model.latent_dim``.
    """
    candidates = list(known)
    by_tail = {name.rsplit(".", 1)[-1]: name for name in reversed(candidates)}
    close = difflib.get_close_matches(word, candidates, n=1) or [
        by_tail[tail] for tail in difflib.get_close_matches(word.rsplit(".", 1)[-1], by_tail, n=1)
    ]
    return f" Did you mean '{close[0]}'?" if close else ""
