"""Learn: shape the energy so that data lie low.

A learner is `Learner(init, update)`; `train` runs any learner in one scan. Which learner to take:

    you have                                                         take
    a loss of `ebmjax.losses`                                        `gradient`
    an energy and a sampler of it: Boltzmann machines, networks      `contrast`: contrastive divergence and others
    data whose sparse codes need a dictionary                        `dictionaries`
    an unrolled network of many layers                               `layerwise`, which calls `train` once a phase

Around a learner:

    `train`         the scan: shuffled batches, some epochs, metrics of every update
    `checkpoint`    the same, saved every few epochs and resumed (extra `checkpoint`)
    `averaging`     a wrapper of a learner: the running mean of its parameters, often the better model
    `measuring`     a wrapper that measures, such as the loss of held-out data, every so many updates
    `keeping`       a wrapper that keeps the parameters that measured best
    `stopping`      a wrapper that ends a training where its measurements no longer become better
    `reporting`     a wrapper that reports to the host while the scan runs, such as to a progress bar
    `wrapped`       how to find the state of a learner below its wrappers
    `fingerprint`   what tells two trainings apart, for `checkpoint`
    `stored`        how a checkpoint holds the leaves of a pytree, for `checkpoint`
    `on_disk`       how it is written and read, for `checkpoint`
    `leaves`        which leaves of parameters are learned, and what data become; for writers of learners

Contrastive divergence is the phase `contrast.phases.contrastive_divergence`, given to
`contrast.contrastive.contrastive`.
"""

from ebmjax.learn import (
    averaging,
    checkpoint,
    contrast,
    dictionaries,
    fingerprint,
    gradient,
    keeping,
    layerwise,
    leaves,
    measuring,
    on_disk,
    reporting,
    stopping,
    stored,
    train,
    wrapped,
)

__all__ = [
    "averaging",
    "checkpoint",
    "contrast",
    "dictionaries",
    "fingerprint",
    "gradient",
    "keeping",
    "layerwise",
    "leaves",
    "measuring",
    "on_disk",
    "reporting",
    "stopping",
    "stored",
    "train",
    "wrapped",
]
