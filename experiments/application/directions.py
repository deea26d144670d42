"""Which headline figures are better when they are lower, and which when they are higher.

Only what stands here is ever marked as better. A figure that means something else when an option changes, such as an
energy whose weight of sparsity is an option, does not stand here.
"""

from fnmatch import fnmatchcase

LOWER: dict[str, tuple[str, ...]] = {
    "ellipse_inference": ("grid_excess_max", "golden_deviation"),
    "ellipse_training": ("critical_beta_relative_error", "largest_final_gradient"),
    "horn": ("held_out_free_energy*", "radii_rmse", "dead_seeds", "non_finite_seeds"),
    "horn_sweep": ("held_out_free_energy*", "radii_rmse", "dead_seeds"),
    "horn_generalized": ("held_out_free_energy*", "rms_distance_to_true_horn"),
    "coins": ("rms_residual", "worst_ratio"),
    "fit": ("held_out_free_energy", "rms_distance"),
    "hopfield_spurious": ("spurious_attractors*", "spurious_basin_share*"),
    "boltzmann_learning": ("divergence_*",),
    "label_completion": ("test_error",),
    "rbm_likelihood": ("log_z_standard_error_*",),
    "lista": ("nmse_db_*", "energy_excess_*"),
    "few_labels": ("error_*",),
    "million_patches": ("worst_relative_gap",),
    "neural_density": ("kl_*",),
    "composition": ("total_variation*", "compositions_above_the_99th_percentile"),
    "sampler_walk": ("total_variation*",),
}
"""The figures of each experiment that are better when they are lower; * stands for any characters."""

HIGHER: dict[str, tuple[str, ...]] = {
    "hopfield_spurious": ("stored_basin_share*", "patterns_that_are_attractors*"),
    "label_completion": ("halves_labelled_right",),
    "rbm_likelihood": ("log_likelihood_test_*",),
    "dbm_likelihood": ("*_bound_test", "*_log_likelihood_exact"),
    "few_labels": ("gain_points",),
    "million_patches": ("patches_per_second", "converged"),
    "vae": ("log_likelihood", "evidence_bound"),
    "neural_digits": ("auroc_*",),
    "sampler_walk": ("effective_samples_per_second*",),
    "sampler_league": ("pairs_that_pass",),
    "spin_league": ("pairs_that_pass",),
}
"""The same for those that are better when they are higher."""

EVERYWHERE = ("seconds_compile", "seconds_run")
"""Figures of every experiment, which are better when they are lower."""


def direction(experiment: str, figure: str) -> int:
    """-1 if a lower value of the figure is better, 1 if a higher one is, 0 if neither is known.

    >>> direction("horn", "radii_rmse"), direction("vae", "log_likelihood"), direction("horn", "noise_floor")
    (-1, 1, 0)
    """
    lower, higher = LOWER.get(experiment, ()) + EVERYWHERE, HIGHER.get(experiment, ())
    fits = lambda patterns: any(fnmatchcase(figure, pattern) for pattern in patterns)
    return fits(higher) - fits(lower)
