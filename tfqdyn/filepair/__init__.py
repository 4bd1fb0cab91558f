"""A float .tflite file against a quantized one of the same network, whatever its operators are.

    side.py       a file: its inputs and outputs, how many samples it takes at once
    flow.py       a file as a graph of steps on values
    matching.py   which step is which: by kinds, topology and constants, never by names
    steps.py, constants.py, folding.py   whether two steps are the same, rounded or folded
    problems.py   what was left over, and whether the files are of one network at all
    naming.py, rows.py   steps as rows of the layer table
    running.py    values of tensors, from the interpreter
    measuring.py, outputs.py, tasks.py   both files side by side, and what the labels are for
    analysis.py   all of it, in its order

Neither TensorFlow nor Keras is imported here, nor by what is imported here.
"""

from tfqdyn.filepair.analysis import analyze as analyze
from tfqdyn.filepair.side import image_size as image_size
