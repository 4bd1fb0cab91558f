"""The networks of the three works, in Keras 3 alone: any backend, no dependency on `tfqdyn`.

A module a network, with a builder of the module's name; `BUILDERS` has them all by name.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import keras

from models import (
    dws_convnet,
    factorizenet,
    mobilenet_v1,
    mobilenet_v2,
    resnet34,
    toynet,
    vgg19,
)

BUILDERS: Mapping[str, Callable[..., keras.Model]] = MappingProxyType(
    {
        "toynet": toynet.toynet,
        "dws_convnet": dws_convnet.dws_convnet,
        "factorizenet": factorizenet.factorizenet,
        "mobilenet_v1": mobilenet_v1.mobilenet_v1,
        "mobilenet_v2": mobilenet_v2.mobilenet_v2,
        "resnet34": resnet34.resnet34,
        "vgg19": vgg19.vgg19,
    }
)
