"""Learn: shape the energy so that data lie low.

A learner is `Learner(init, update)`; `train` runs any of them in one scan.

`gradient`      gradient descent on a loss of `ebmjax.losses`
`contrast`      the folder for learning from two phases: contrastive divergence, persistent chains, mean fields
`dictionaries`  the folder for dictionaries of sparse codes
`layerwise`     unrolled networks, one layer after the other
`averaging`     a wrapper: the running mean of the parameters
`train`         one scan for every learner
`checkpoint`    the same, saved every few epochs and resumed (extra `checkpoint`)
"""

from ebmjax.learn import averaging, checkpoint, contrast, dictionaries, gradient, layerwise, train

__all__ = [
    "averaging",
    "checkpoint",
    "contrast",
    "dictionaries",
    "gradient",
    "layerwise",
    "train",
]
