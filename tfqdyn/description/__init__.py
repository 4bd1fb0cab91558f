"""What a model file says about its network, read into plain records; nothing of it is run."""

from tfqdyn.description.building import Builder as Builder
from tfqdyn.description.reading import read as read
from tfqdyn.description.records import Network as Network
from tfqdyn.description.values import ModelFileError as ModelFileError
