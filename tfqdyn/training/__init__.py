"""Training of the works' networks on any Keras backend: recipes, one resumable run."""

from tfqdyn.training.files import read_table as read_table
from tfqdyn.training.loop import CHECKPOINTS as CHECKPOINTS
from tfqdyn.training.loop import TrainingConfig as TrainingConfig
from tfqdyn.training.loop import TrainingResult as TrainingResult
from tfqdyn.training.loop import checkpoint_path as checkpoint_path
from tfqdyn.training.loop import train as train
from tfqdyn.training.recipes import RECIPES as RECIPES
from tfqdyn.training.recipes import Augmentation as Augmentation
from tfqdyn.training.recipes import ExponentialDecay as ExponentialDecay
from tfqdyn.training.recipes import Recipe as Recipe
from tfqdyn.training.recipes import StepDecay as StepDecay
