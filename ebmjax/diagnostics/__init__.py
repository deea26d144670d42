"""How far draws can be trusted.

    chains         effective sample size of the mean, autocorrelation time, split R-hat, acceptance rate
    ranks          rank-normalized R-hat; effective sample size of the bulk, the tails, a quantile, the standard deviation
    errors         Monte Carlo standard errors of a mean, a standard deviation, a quantile
    laws           z-scores of moments against a law that is known exactly, by enumeration or by an integral

The first three need draws alone, of shape (chains, steps, ...). All functions are lifted here:
`ebm.diagnostics.effective_sample_size`.
"""

from ebmjax.diagnostics import chains, errors, invariance, laws, ranks
from ebmjax.diagnostics.chains import acceptance_rate, autocorrelation_time, effective_sample_size, split_r_hat
from ebmjax.diagnostics.errors import mean_standard_error, quantile_standard_error, sd_standard_error
from ebmjax.diagnostics.invariance import invariance_test
from ebmjax.diagnostics.laws import exact_mean, law_moments, z_scores
from ebmjax.diagnostics.ranks import (
    bulk_effective_sample_size,
    quantile_effective_sample_size,
    r_hat,
    sd_effective_sample_size,
    tail_effective_sample_size,
)
