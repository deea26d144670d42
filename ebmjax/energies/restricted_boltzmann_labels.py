"""Restricted Boltzmann machine of pictures and labels: the last visible units are the one-hot code of the class.

    E(v, c, h) = -aᵀv - bᵀh - vᵀWh - d_c - (Uh)_c,    v ∈ {0,1}^V, c ∈ {1 … C}, h ∈ {0,1}^H

It is the restricted Boltzmann machine with the visible units (v, e_c), where e_c is the one-hot code of class c. Its
parameters are `restricted_boltzmann.Params` with V + C visible units: a and d are the visible biases, W and U the
weights. Exactly one label unit is 1, so that the class is one unit with C values. All C free energies of a picture
together cost hardly more than one.

Larochelle and Bengio (2008), "Classification using discriminative restricted Boltzmann machines".
"""

from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ebmjax.checks import ArgumentError, as_example, as_float, as_params, check_count, is_static
from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.energies.restricted_boltzmann import Params
from ebmjax.numerics import matmul
from ebmjax.temperature import softargmin, softmin
from ebmjax.types import Beta, Numbers, Scalar

Label = Int[Array | np.ndarray, ""] | int
"""A class, an integer from 0 to C - 1."""


def with_label(image: Annotated[Numbers, "pixels"], label: Label, classes: int) -> Float[Array, " visible"]:
    """The visible units (v, e_c): the pixels, then the one-hot code of the label.

    Raises ValueError for an image that is no vector, or a static label outside 0 … classes - 1.

    >>> with_label(jnp.array([0.0, 1.0]), jnp.array(2), classes=3).tolist()
    [0.0, 1.0, 0.0, 0.0, 1.0]
    """
    check_count("classes", classes)
    if is_static(label) and not 0 <= int(label) < classes:
        raise ArgumentError(f"label: got {int(label)}, wanted 0 to {classes - 1}")
    image = as_float("image", image, (None,))
    return jnp.concatenate([image, jax.nn.one_hot(label, classes, dtype=image.dtype)])


def energy(
    params: Params,
    image: Annotated[Numbers, "pixels"],
    label: Label,
    hidden: Annotated[Numbers, "hidden"],
    classes: int,
) -> Scalar:
    """E(v, c, h) of a picture, its label and the hidden units, a scalar.

    Raises ValueError for a static label outside 0 … classes - 1, fewer than 2 classes, or parameters with another
    number of visible units than pixels + classes.

    >>> params = Params(jnp.ones((5, 2)), jnp.zeros(5), jnp.zeros(2))
    >>> float(energy(params, jnp.ones(2), jnp.array(0), jnp.ones(2), classes=3))
    -6.0
    """
    image = _image(params, image, classes)
    return rbm.energy(params, with_label(image, label, classes), hidden)


def label_free_energies(
    params: Params, image: Annotated[Numbers, "pixels"], beta: Beta, classes: int
) -> Float[Array, " classes"]:
    """F_beta(v, c) of one picture with each of the classes: the free energy over all hidden states, in closed form.

    It is a mean over the hidden states. Less hidden · log 2 / beta it is a sum, the literature's convention, whose
    `log_partition` over pictures and classes is log Z; the law of the label is the same. The part of the fields that
    depends on the picture is computed once: the cost is O((V + C) H).

    Args:
        params: of a machine with pixels + classes visible units.
        image: the pixels.
        beta: inverse temperature in [0, inf], in units of 1/energy.
        classes: C, static, at least 2.

    Raises:
        ValueError: beta negative, NaN or not a scalar; fewer than 2 classes; parameters with another number of visible
            units than pixels + classes.

    >>> params = Params(jnp.ones((4, 1)), jnp.zeros(4).at[-1].set(2.0), jnp.zeros(1))
    >>> label_free_energies(params, jnp.ones(2), jnp.inf, 2).tolist()
    [-3.0, -5.0]
    """
    params = as_params(params, Params)
    image = _image(params, image, classes)
    of_pixels, of_label = params.weights[:-classes], params.weights[-classes:]
    field = (params.hidden_bias + matmul(image, of_pixels))[None] + of_label
    hidden = softmin(jnp.stack([jnp.zeros_like(field), -field]), beta, axis=0).sum(axis=1)
    return hidden - params.visible_bias[-classes:] - matmul(image, params.visible_bias[:-classes])


def label_law(
    params: Params, image: Annotated[Numbers, "pixels"], beta: Beta, classes: int
) -> Float[Array, " classes"]:
    """P(c | v), the softargmin of the free energies at the same beta: the machine as a classifier.

    Arguments and errors as in `label_free_energies`.

    >>> params = Params(jnp.ones((4, 1)), jnp.zeros(4), jnp.zeros(1))
    >>> label_law(params, jnp.ones(2), 1.0, 2).tolist()
    [0.5, 0.5]
    """
    return softargmin(label_free_energies(params, image, beta, classes), beta)


def label_energies(params: Params, hidden: Annotated[Numbers, "hidden"], classes: int) -> Float[Array, " classes"]:
    """-d_c - (Uh)_c: the energy of each class given the hidden units; P(c | h) is the softargmin.

    Raises ValueError for fewer than 2 classes, or more than there are visible units.

    >>> label_energies(Params(jnp.ones((4, 1)), jnp.zeros(4), jnp.zeros(1)), jnp.ones(1), 2).tolist()
    [-1.0, -1.0]
    """
    params = as_params(params, Params)
    check_classes(params, classes)
    return -rbm.visible_field(
        params._replace(weights=params.weights[-classes:], visible_bias=params.visible_bias[-classes:]), hidden
    )


def check_classes(params: Params, classes: int) -> None:
    """Raise ValueError for fewer than 2 classes, or for so many that no visible unit is left for a pixel.

    >>> check_classes(Params(jnp.ones((4, 1)), jnp.zeros(4), jnp.zeros(1)), 4)
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: classes: got 4, wanted 2 to 3, as the machine has 4 visible units
    """
    units = params.visible_bias.shape[0]
    if not isinstance(classes, int | np.integer) or not 2 <= classes < units:
        raise ArgumentError(
            f"classes: got {classes}, wanted 2 to {units - 1}, as the machine has {units} visible units"
        )


def _image(params, image, classes):
    params = as_params(params, Params)
    check_classes(params, classes)
    image = as_example("image", image, params.weights, (None,))
    units, pixels = params.visible_bias.shape[0], len(image)
    if pixels != units - classes:
        raise ArgumentError(
            f"image: got {pixels} pixels, wanted {units - classes}: {units} visible units less {classes}"
        )
    return image
