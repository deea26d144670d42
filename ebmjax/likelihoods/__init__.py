"""Likelihoods: log p(x) in nats of models whose log Z no grid and no enumeration can reach, one file a family.

    log p(x) = log p*(x) - log Z,    p* the unnormalized density exp(-beta F)

A family has a `path` of laws from one whose log Z is known to the model, and functions for what is exact. `paths` runs
chains along any path, and returns log Z with its error and bounds, as an `Estimate`. Which module to take:

binary units in two layers                        `restricted`: exact for up to 28 units on one side

`paths` has what all of them share. Everything holds at any finite beta.
"""

from ebmjax.likelihoods import paths, restricted

__all__ = ["paths", "restricted"]
