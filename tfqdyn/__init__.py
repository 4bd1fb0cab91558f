"""tfqdyn: why a Keras network loses accuracy in 8 bits, in which layer, and what brings it back.

The stages, in the order in which data flows through them, each a module of its own:
`modelfile` -> `lowering` -> `folding` -> `calibration` -> `fakequant` -> `conversion` -> `pairing`
-> `capture` -> `layerstats` -> `results` -> `tables`, `figures`; `pipeline.analyze` calls them.

Importing `tfqdyn` loads neither TensorFlow nor matplotlib.
"""

__version__ = "0.1.0"
