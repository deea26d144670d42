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
    `fingerprint`   what tells two trainings apart, for `checkpoint`
    `stored`        how a checkpoint holds the leaves of a pytree, for `checkpoint`
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
    layerwise,
    leaves,
    stored,
    train,
)

__all__ = [
    "averaging",
    "checkpoint",
    "contrast",
    "dictionaries",
    "fingerprint",
    "gradient",
    "layerwise",
    "leaves",
    "stored",
    "train",
]
