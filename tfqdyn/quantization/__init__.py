"""From a folded network to one in few bits: calibration, conversion, simulation."""
