"""The networks inside energies: the only folder that imports Flax.

NNX modules are pytrees: they go through `jax.grad`, `jit`, `vmap` and `scan` as parameters do.

    dense           a multilayer perceptron, and the predictor of the horn's radii
    convolutional   encoder, decoder and scalar energy of pictures
    pickled         modules that can be pickled, with their activations
    spectral        spectral normalization of any network
    modules         which variables of a module are weights

All classes are lifted here: `ebm.networks.MLP`.
"""

from ebmjax.networks import convolutional, dense, modules, pickled, spectral
from ebmjax.networks.convolutional import ConvolutionalDecoder, ConvolutionalEncoder, ScalarConvolution
from ebmjax.networks.dense import MLP, Activation, RadiiPredictor
from ebmjax.networks.spectral import spectrally_normalized

__all__ = [
    "MLP",
    "Activation",
    "ConvolutionalDecoder",
    "ConvolutionalEncoder",
    "RadiiPredictor",
    "ScalarConvolution",
    "convolutional",
    "dense",
    "modules",
    "pickled",
    "spectral",
    "spectrally_normalized",
]
