"""Pictures of Gibbs chains ``(chains, samples, teams)``; skills in points, likelihoods in nats."""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from elbolab.pictures import new_figure, plain_text
from tasks.arrays import Floats
from tasks.trueskill.diagnostics import autocorrelation, bulk_ess, r_hat
from tasks.trueskill.pictures import SMALL

__all__ = [
    "autocorrelation_picture",
    "histogram_picture",
    "likelihood_picture",
    "running_log_likelihood",
    "trace_picture",
]

SHOWN = 4
"""Teams in a picture: the best of them."""

LAGS = 40
TRACE = 1000


def _panels(count: int, title: str, width: float, height: float) -> tuple[Figure, list[Axes]]:
    figure = new_figure(width, 0.6 + height * count)
    figure.suptitle(title, fontsize=10)
    return figure, list(figure.subplots(count, 1, squeeze=False)[:, 0])


def trace_picture(skills: Floats, teams: Sequence[str]) -> Figure:
    """The first samples of every chain after burn-in."""
    n = min(TRACE, skills.shape[1])
    title = f"Gibbs traces: {len(skills)} chains, first {n} samples after burn-in"
    figure, panels = _panels(len(teams), title, 7, 1.5)
    for index, (axes, team) in enumerate(zip(panels, teams, strict=True)):
        for chain in skills[:, :n, index]:
            axes.plot(np.arange(1, n + 1), chain, linewidth=0.5, alpha=0.7)
        axes.set_ylabel(f"{plain_text(team)}\nskill (points)", fontsize=SMALL)
    panels[-1].set_xlabel("sample")
    return figure


def autocorrelation_picture(skills: Floats, teams: Sequence[str]) -> Figure:
    """Autocorrelation, mean over chains, with effective sample size and R̂."""
    lags = min(LAGS, skills.shape[1])
    figure = new_figure(6, 4)
    axes = figure.add_subplot()
    for index, team in enumerate(teams):
        draws = skills[..., index]
        label = f"{plain_text(team)}: ESS {bulk_ess(draws):,.0f}, R̂ {r_hat(draws):.4f}"
        axes.plot(autocorrelation(draws).mean(0)[:lags], ".-", label=label)
    axes.axhline(0, color="grey", linewidth=0.5)
    axes.set_xlabel("lag (samples)")
    axes.set_ylabel("autocorrelation")
    size = f"{skills.shape[0]} × {skills.shape[1]:,} samples"
    axes.set_title(f"Autocorrelation of Gibbs chains, {size}", fontsize=10)
    axes.legend(fontsize=SMALL)
    axes.grid(alpha=0.3)
    return figure


def histogram_picture(
    skills: Floats, teams: Sequence[str], densities: Sequence[Callable[[float], float]], name: str
) -> Figure:
    """Histograms of the samples with a density drawn on each.

    Args:
        skills: Samples of the teams shown.
        teams: Their names.
        densities: Density of each team's skill, per point.
        name: What the density is.
    """
    title = f"{skills[..., 0].size:,} Gibbs samples and {name}"
    figure, panels = _panels(len(teams), title, 6, 1.9)
    for index, (axes, team) in enumerate(zip(panels, teams, strict=True)):
        draws = skills[..., index].ravel()
        axes.hist(draws, bins=60, density=True, alpha=0.5, label="samples")
        grid = np.linspace(draws.min(), draws.max(), 300)
        axes.plot(grid, [densities[index](s) for s in grid.tolist()], color="C3", label=name)
        summary = f"{plain_text(team)}: mean {draws.mean():.2f}, std {draws.std(ddof=1):.2f}"
        axes.set_title(summary, fontsize=SMALL, loc="left")
        axes.set_ylabel("density (1/point)", fontsize=SMALL)
        axes.sharex(panels[0])
    figure.legend(*panels[0].get_legend_handles_labels(), fontsize=SMALL, loc="outside lower right")
    panels[-1].set_xlabel("skill (points)")
    return figure


def likelihood_picture(log_likelihood: Floats) -> Figure:
    """Average log-likelihood of a match under the first n samples of each chain, against n.

    Args:
        log_likelihood: log p(y | s) ``(chains, samples, matches)``, nats.
    """
    running = running_log_likelihood(log_likelihood)
    figure = new_figure(6, 4)
    axes = figure.add_subplot()
    n = np.arange(1, running.shape[1] + 1)
    for number, chain in enumerate(running, 1):
        axes.semilogx(n, chain, linewidth=1, label=f"chain {number}" if number <= 6 else None)
    everything = float(running[:, -1].mean())
    axes.axhline(everything, linestyle=":", color="grey", label=f"all samples: {everything:.4f}")
    axes.set_xlabel("samples n")
    axes.set_ylabel("log-likelihood (nats per match)")
    axes.set_title("Average over matches of log mean p(y | s) over the first n samples", fontsize=9)
    axes.legend(fontsize=SMALL)
    axes.grid(alpha=0.3, which="both")
    return figure


def running_log_likelihood(log_likelihood: Floats) -> Floats:
    """Mean over matches of log (1/n) Σ_{k ≤ n} p(y | s_k): ``(c, n, matches)`` → ``(c, n)``."""
    counts = np.arange(1, log_likelihood.shape[1] + 1)[:, None]
    sums = np.logaddexp.accumulate(log_likelihood, axis=1)
    return (sums - np.log(counts)).mean(-1)
