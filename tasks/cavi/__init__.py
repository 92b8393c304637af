"""Earthquakes around super-epicentres, by coordinate-ascent variational inference.

    Z_n ~ Categorical(π)               the super-epicentre of event n
    S_n | Z_n = k ~ Poisson(λ_k)       its strength, a count
    x_n | Z_n = k ~ N(μ_k, (τI)⁻¹)     its position; or x_n = log R_n of a distance R_n
    μ_k ~ N(ν, (ρI)⁻¹)    λ_k ~ Gamma(α, rate β)    π fixed, or ~ Dirichlet

`task.CAVI` is the command; it imports the algorithms when it runs. They work without it::

    from tasks.cavi.fitting import fit_in_memory
    from tasks.cavi.model import EpicentreModel, FixedWeights
    from tasks.cavi.options import Constants

    model = EpicentreModel(Constants(tau=0.5, rho=0.01), nu=x.mean(0), weights=FixedWeights())
    fit = fit_in_memory(model, x, strengths, components=4, restarts=10, seed=0)
    print(fit.elbo.max(), fit.best.mu.mean)
"""
