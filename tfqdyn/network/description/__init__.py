"""What a model file says about its network, read into plain records; nothing of it is run."""

from tfqdyn.network.description.building import Builder as Builder
from tfqdyn.network.description.reading import read as read
from tfqdyn.network.description.records import Network as Network
from tfqdyn.network.description.values import ModelFileError as ModelFileError
