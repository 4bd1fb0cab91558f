"""The networks of the three works, in Keras 3 alone: any backend, no dependency on `tfqdyn`."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import keras

from models.dws_convnet import dws_convnet as dws_convnet
from models.toynet import toynet as toynet

BUILDERS: Mapping[str, Callable[..., keras.Model]] = MappingProxyType(
    {
        "toynet": toynet,
        "dws_convnet": dws_convnet,
    }
)
