"""The networks of the three works, in Keras 3 alone: any backend, no dependency on `tfqdyn`."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import keras

from models.dws_convnet import dws_convnet as dws_convnet
from models.factorizenet import factorizenet as factorizenet
from models.mobilenet_v1 import mobilenet_v1 as mobilenet_v1
from models.mobilenet_v2 import mobilenet_v2 as mobilenet_v2
from models.resnet34 import resnet34 as resnet34
from models.toynet import toynet as toynet
from models.vgg19 import vgg19 as vgg19

BUILDERS: Mapping[str, Callable[..., keras.Model]] = MappingProxyType(
    {
        "toynet": toynet,
        "dws_convnet": dws_convnet,
        "factorizenet": factorizenet,
        "mobilenet_v1": mobilenet_v1,
        "mobilenet_v2": mobilenet_v2,
        "resnet34": resnet34,
        "vgg19": vgg19,
    }
)
