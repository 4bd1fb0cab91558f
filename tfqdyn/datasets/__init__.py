"""Data: arrays with or without labels, from `.npz` archives, folders of images, or two by name.

Conventions
    Arrays are [N, ...], uint8 or float: images [N, H, W, C], spectrograms [N, T, F], vectors
    [N, K]. A network with several inputs takes `Inputs`, one array for each. Labels of classes are
    integers [N] from 0; other labels may have any shape [N, ...]. Nothing is preprocessed on
    loading: `preprocess` scales a chunk of images when it is used, as `keras.applications` does;
    float data are taken as they are with "none".
"""

from tfqdyn.datasets.batches import (
    PREPROCESSING as PREPROCESSING,
)
from tfqdyn.datasets.batches import (
    Batch as Batch,
)
from tfqdyn.datasets.batches import (
    by_input as by_input,
)
from tfqdyn.datasets.batches import (
    chunks as chunks,
)
from tfqdyn.datasets.batches import (
    fingerprint as fingerprint,
)
from tfqdyn.datasets.batches import (
    mode_named as mode_named,
)
from tfqdyn.datasets.batches import (
    preprocess as preprocess,
)
from tfqdyn.datasets.fitting import (
    check_classes as check_classes,
)
from tfqdyn.datasets.fitting import (
    fitted as fitted,
)
from tfqdyn.datasets.fitting import (
    validate as validate,
)
from tfqdyn.datasets.given import (
    given as given,
)
from tfqdyn.datasets.given import (
    shapes_of as shapes_of,
)
from tfqdyn.datasets.given import (
    with_class_numbers as with_class_numbers,
)
from tfqdyn.datasets.loading import (
    load as load,
)
from tfqdyn.datasets.records import (
    Dataset as Dataset,
)
from tfqdyn.datasets.records import (
    Inputs as Inputs,
)
from tfqdyn.files.imagefiles import DataError as DataError
