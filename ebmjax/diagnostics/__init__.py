"""How far samples can be trusted.

    chains       effective sample size, split R-hat, acceptance rate: they need the draws alone
    laws         z-scores of moments against a law that is known exactly, by enumeration or by an integral
    invariance   whether a kernel leaves the law of exact draws as it is, with a p-value for each statistic

All functions are lifted here: `ebm.diagnostics.effective_sample_size`.
"""

from ebmjax.diagnostics import chains, invariance, laws
from ebmjax.diagnostics.chains import acceptance_rate, effective_sample_size, r_hat
from ebmjax.diagnostics.invariance import invariance_test
from ebmjax.diagnostics.laws import exact_mean, law_moments, z_scores

__all__ = [
    "acceptance_rate",
    "chains",
    "effective_sample_size",
    "exact_mean",
    "invariance",
    "invariance_test",
    "law_moments",
    "laws",
    "r_hat",
    "z_scores",
]
