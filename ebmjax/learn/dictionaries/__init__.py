"""Dictionaries of sparse codes, as learners. Which one to take:

    you have                                          take
    vectors that come in batches                      `dictionary.online`
    few vectors, all in one batch                     `dictionary.alternate`
    the same, with a step size of your own            `dictionary.descent`
    vectors, and codes wanted at once for new ones    `predictive_decomposition`: an encoder that predicts the codes
    pictures                                          `convolutional_dictionary.convolutional`
    pictures, and an encoder                          `convolutional_dictionary.predictive`

`dead_atoms` replaces the atoms and kernels that no code uses.
"""

from ebmjax.learn.dictionaries import convolutional_dictionary, dead_atoms, dictionary, predictive_decomposition

__all__ = [
    "convolutional_dictionary",
    "dead_atoms",
    "dictionary",
    "predictive_decomposition",
]
