"""How far draws can be trusted, and whether a sampler is right.

    chains         effective sample size of the mean, autocorrelation time, split R-hat, acceptance rate
    ranks          R-hat of ranks; effective sample size of the bulk, the tails, a quantile, the standard deviation
    errors         Monte Carlo standard errors of a mean, a standard deviation, a quantile
    laws           z-scores of moments against a law that is known exactly, by enumeration or by an integral
    discrepancies  kernel Stein discrepancy from the score of a law, maximum mean discrepancy from draws of it
    invariance     whether a kernel leaves the law of exact draws as it is, with a p-value for each statistic
    calibration    whether a sampler draws from posteriors, by the ranks of true parameters
    export         draws and infos for ArviZ, 0.x and 1.x

The first three need draws alone, of shape (chains, steps, ...). All functions are lifted here:
`ebm.diagnostics.r_hat`.
"""

from ebmjax.diagnostics import calibration, chains, discrepancies, errors, export, invariance, laws, ranks
from ebmjax.diagnostics.calibration import calibration_test, rank_test
from ebmjax.diagnostics.chains import acceptance_rate, autocorrelation_time, effective_sample_size, split_r_hat
from ebmjax.diagnostics.discrepancies import kernel_stein_discrepancy, maximum_mean_discrepancy
from ebmjax.diagnostics.errors import mean_standard_error, quantile_standard_error, sd_standard_error
from ebmjax.diagnostics.export import to_datatree, to_inference_data
from ebmjax.diagnostics.invariance import invariance_test
from ebmjax.diagnostics.laws import exact_mean, law_moments, z_scores
from ebmjax.diagnostics.ranks import (
    bulk_effective_sample_size,
    quantile_effective_sample_size,
    r_hat,
    sd_effective_sample_size,
    tail_effective_sample_size,
)

__all__ = [
    "acceptance_rate",
    "autocorrelation_time",
    "bulk_effective_sample_size",
    "calibration",
    "calibration_test",
    "chains",
    "discrepancies",
    "effective_sample_size",
    "errors",
    "exact_mean",
    "export",
    "invariance",
    "invariance_test",
    "kernel_stein_discrepancy",
    "law_moments",
    "laws",
    "maximum_mean_discrepancy",
    "mean_standard_error",
    "quantile_effective_sample_size",
    "quantile_standard_error",
    "r_hat",
    "rank_test",
    "ranks",
    "sd_effective_sample_size",
    "sd_standard_error",
    "split_r_hat",
    "tail_effective_sample_size",
    "to_datatree",
    "to_inference_data",
    "z_scores",
]
