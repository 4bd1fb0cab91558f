"""The eight networks of thesis chapter 5 as one family: "the resulting set of architectures".

The thesis counts networks with regular and with depthwise separable convolutions as the ends of
FactorizeNet's spectrum (5.3, 5.4) and draws all of them into one picture.
"""

import dataclasses

from experiments.engine.networks import FACTORIZED

SPECTRUM = tuple(dataclasses.replace(network, family="FactorizeNet") for network in FACTORIZED)
"""All eight, by falling MACs; their trainings are those of `networks.FACTORIZED`."""
