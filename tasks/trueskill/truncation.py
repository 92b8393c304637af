"""Moments of a truncated normal, stable far in its tails, for one number at a time.

Plain ``math``: a match is one number, and an array of one costs more than the formula. Symbols are
those of Herbrich et al. (2006): φ and Φ are the standard normal's density and distribution
function; V is what a mean moves and W what a variance shrinks by, both relative to their scale.
"""

import math

__all__ = ["log_draw_probability", "log_normal_cdf", "normal_cdf", "vw", "vw_draw", "vw_win"]

SQRT2 = math.sqrt(2)
INV_SQRT_2PI = 1 / math.sqrt(2 * math.pi)
LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)

TAIL = -10.0
"""Below it φ(u)/Φ(u) comes from a continued fraction: the quotient would lose digits in V + u."""

DEPTH = 40
"""Levels of the continued fraction; at u = −10 its error is below 1e-15."""

NARROW = 1e-5
"""Below this half-width a draw is taken for its limit t = 0, which is closer than rounding."""


def normal_cdf(u: float) -> float:
    """Φ(u)."""
    return 0.5 * math.erfc(-u / SQRT2)


def log_normal_cdf(u: float) -> float:
    """log Φ(u), in nats, finite for every finite u."""
    if u > 0:
        return math.log1p(-0.5 * math.erfc(u / SQRT2))
    if u > TAIL:
        return math.log(normal_cdf(u))
    return -0.5 * u * u - LOG_SQRT_2PI - math.log(vw_win(u)[0])


def vw_win(u: float) -> tuple[float, float]:
    """V = φ(u)/Φ(u) and W = V(V + u): the outcome u > 0 was seen.

    V lies in (0, ∞) and W in (0, 1). Beyond u = 38, where φ is below the smallest number, both
    are 0.

    Args:
        u: y(μ_1 − μ_2)/c, the expected margin in standard deviations.
    """
    if u > TAIL:
        v = INV_SQRT_2PI * math.exp(-0.5 * u * u) / (0.5 * math.erfc(-u / SQRT2))
        return v, v * (v + u)
    excess = _tail_excess(-u)
    v = excess - u
    return v, v * excess


def _tail_excess(x: float) -> float:
    """V(−x) − x = 1/(x + 2/(x + 3/(x + …))), Laplace's continued fraction of Mills' ratio."""
    f = x
    for k in range(DEPTH, 1, -1):
        f = x + k / f
    return 1 / f


def vw_draw(t: float, e: float) -> tuple[float, float]:
    """V and W of a draw: −e < x < e was seen of x ~ N(t, 1).

    With a = e − |t|, b = −e − |t|, D = Φ(a) − Φ(b): V = (φ(b) − φ(a))/D, of the sign of −t, and
    W = V² + (aφ(a) − bφ(b))/D. Everything is divided by φ(a), which D is never far from.

    Args:
        t: (μ_1 − μ_2)/c.
        e: ε/c, positive.
    """
    if e < NARROW:
        return -t, 1.0
    a, b, x, ratio = _interval(t, e)
    y = x * ratio
    v = y - x
    return math.copysign(v, -t), v * v + a * x - b * y


def log_draw_probability(t: float, e: float) -> float:
    """log(Φ(e − t) − Φ(−e − t)), in nats; e positive."""
    a, _, x, _ = _interval(t, e)
    return -0.5 * a * a - LOG_SQRT_2PI - math.log(x) if x > 0 else 0.0


def _interval(t: float, e: float) -> tuple[float, float, float, float]:
    """The bounds a and b of the draw, φ(a)/D and φ(b)/φ(a)."""
    a, b = e - abs(t), -e - abs(t)
    ratio = math.exp(-2 * e * abs(t))
    return a, b, 1 / (_mills(a) - _mills(b) * ratio), ratio


def _mills(u: float) -> float:
    """Φ(u)/φ(u), infinite where φ is below the smallest number."""
    v = vw_win(u)[0]
    return 1 / v if v > 1 / 1.7e308 else math.inf


def vw(t: float, e: float, y: int) -> tuple[float, float]:
    """V, with the sign by which the first team's mean moves, and W of an outcome.

    Args:
        t: (μ_1 − μ_2 + h)/c.
        e: ε/c, 0 without draws.
        y: +1, −1 or, for a draw, 0.
    """
    if y == 0:
        return vw_draw(t, e)
    v, w = vw_win(y * t - e)
    return y * v, w
