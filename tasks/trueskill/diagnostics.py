"""Whether chains have converged and how much they are worth.

Vehtari, Gelman, Simpson, Carpenter & Bürkner, Rank-normalization, folding, and localization,
Bayesian Analysis 2021. Draws are ``(chains, samples)`` of one quantity, continuous: no
two are equal.
"""

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.special import ndtri

from tasks.arrays import Floats

__all__ = ["autocorrelation", "bulk_ess", "ess", "mcse", "r_hat"]


def autocorrelation(draws: Floats) -> Floats:
    """Correlation of a chain with itself ``lag`` steps later: ``(..., n)`` → ``(..., n)``.

    Entry 0 is 1. Each lag is divided by n, as usual: the far, noisy ones shrink towards 0.
    """
    covariance = _autocovariance(draws)
    return covariance / covariance[..., :1]


def _autocovariance(draws: Floats) -> Floats:
    n = draws.shape[-1]
    size = next_fast_len(2 * n, real=True)
    centred = draws - draws.mean(-1, keepdims=True)
    spectrum = np.abs(np.asarray(rfft(centred, size))) ** 2
    return np.asarray(irfft(spectrum, size))[..., :n] / n


def ess(draws: Floats) -> float:
    """Effective sample size: independent draws that would tell the mean as well.

    Sums the autocorrelations of all chains in pairs while they are positive, made monotone
    (Geyer 1992); at most ``m·log10 m`` of m draws, which antithetic chains would exceed.
    """
    split = _split(draws)
    chains, n = split.shape
    covariance = _autocovariance(split).mean(0)
    within, total = _variances(split)
    if total == 0:
        return float(split.size)
    rho = 1 - (within - covariance * n / (n - 1)) / total
    rho[0] = 1.0
    pairs = rho[: n // 2 * 2].reshape(-1, 2).sum(1)
    negative = np.flatnonzero(pairs < 0)
    pairs = np.minimum.accumulate(pairs[: negative[0] if len(negative) else None])
    tau = max(2 * pairs.sum() - 1, 1 / np.log10(split.size))
    return float(chains * n / tau)


def bulk_ess(draws: Floats) -> float:
    """Effective sample size of the rank-normalised draws; finite for heavy tails too."""
    return ess(_normal_scores(draws))


def r_hat(draws: Floats) -> float:
    """Convergence: 1 when chains agree, above 1.01 when they do not yet.

    The larger of the split R̂ of rank-normalised draws and that of their distances from the median,
    so that chains of the same mean but different widths are seen.
    """
    folded = np.abs(draws - np.median(draws))
    return max(_plain_r_hat(_normal_scores(x)) for x in (draws, folded))


def mcse(draws: Floats) -> float:
    """Monte-Carlo standard error of the mean, in the draws' unit."""
    return float(draws.std(ddof=1) / np.sqrt(ess(draws)))


def _plain_r_hat(draws: Floats) -> float:
    within, total = _variances(_split(draws))
    return float(np.sqrt(total / within)) if within else 1.0


def _variances(split: Floats) -> tuple[float, float]:
    """W, the mean variance within chains, and var⁺, which counts that between them too."""
    n = split.shape[1]
    within = float(split.var(1, ddof=1).mean())
    return within, within * (n - 1) / n + float(split.mean(1).var(ddof=1))


def _split(draws: Floats) -> Floats:
    """Both halves of each chain as chains of their own; an odd middle draw is left out."""
    half = draws.shape[1] // 2
    return np.concatenate([draws[:, :half], draws[:, -half:]])


def _normal_scores(draws: Floats) -> Floats:
    """Ranks over all chains, mapped to normal quantiles (Blom 1958)."""
    ranks = np.empty(draws.size)
    ranks[np.argsort(draws, axis=None, kind="stable")] = np.arange(1, draws.size + 1)
    return ndtri((ranks.reshape(draws.shape) - 0.375) / (draws.size + 0.25))
