"""Energy-based models in JAX: minimize, marginalize at any temperature, sample, learn."""

from ebmjax import energies, learn, losses, marginalize, minimize, problems, random_bits, sample
from ebmjax.learn.gradient import gradient
from ebmjax.learn.train import train
from ebmjax.marginalize.free_energy import free_energy, log_partition, posterior
from ebmjax.marginalize.refine import refine
from ebmjax.marginalize.spaces import binary_cube, circle, gauss_hermite, interval, product, spin_cube
from ebmjax.temperature import softargmax, softargmin, softmax, softmin

__version__ = "0.1.0"

__all__ = [
    "binary_cube",
    "circle",
    "energies",
    "free_energy",
    "gauss_hermite",
    "gradient",
    "interval",
    "learn",
    "log_partition",
    "losses",
    "marginalize",
    "minimize",
    "posterior",
    "problems",
    "product",
    "random_bits",
    "refine",
    "sample",
    "softargmax",
    "softargmin",
    "softmax",
    "softmin",
    "spin_cube",
    "train",
]
