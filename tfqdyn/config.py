"""What an analysis does, as one record; the command line's flags become it."""

from dataclasses import dataclass, replace

from tfqdyn import datasets
from tfqdyn.quantization import simulation
from tfqdyn.quantization.calibration import DEFAULT_PERCENTILES, Calibrator
from tfqdyn.schemes import (
    DEVIATIONS,
    GRAPH_TRANSFORM_TOOL,
    OWN_RANGES,
    SCHEMES,
    SIMULATED,
    WITHOUT_FILE,
)


@dataclass(frozen=True)
class AnalysisConfig:
    """What an analysis does; every field is a flag of `tfqdyn analyze`.

    `percentile` is None for the calibrator's own default; `max_images` None for all;
    `batch_size` is the largest number of images in one forward pass (fewer where activations
    would not fit; no figure depends on it); `own_error` asks for each layer's own error and its
    sources, one more pass over the images. `weight_bits`, `activation_bits`, `per_channel` and
    `mixed_bits` are those of `simulation.BitWidths`, for scheme "simulated" alone; `without` names
    the `schemes.DEVIATIONS` that scheme "graph_transform_tool" leaves out.
    """

    preprocessing: str = "none"
    scheme: str = "uint8"
    calibrator: str = "percentile_of_runs"
    percentile: float | None = None
    calibration_size: int = 64
    trials: int = 5
    max_images: int | None = None
    batch_size: int = 50
    threads: int = 2
    seed: int = 0
    bins: int = 128
    epsilon: float = 1e-9
    float_layers: tuple[str, ...] = ()
    own_error: bool = False
    weight_bits: int = 8
    activation_bits: int = 8
    per_channel: tuple[str, ...] = ()
    mixed_bits: int = 0
    without: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("calibration_size", "trials", "batch_size", "threads", "bins", "max_images"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, received {value}")
        known = [*SCHEMES, *WITHOUT_FILE]
        if self.scheme not in known:
            raise ValueError(f"scheme must be one of {known}, received {self.scheme!r}")
        if self.widths != simulation.BitWidths() and self.scheme != SIMULATED:
            raise ValueError(
                f"bit widths need scheme={SIMULATED!r}, received {self.widths} with {self.scheme!r}"
            )
        if self.simulated and self.own_error:
            raise ValueError("own_error needs a .tflite file; a simulated scheme makes none")
        self._check_deviations()
        if self.preprocessing not in datasets.PREPROCESSING:
            raise ValueError(
                f"preprocessing must be one of {sorted(datasets.PREPROCESSING)}, received "
                f"{self.preprocessing!r}"
            )
        if not 0 < self.epsilon < 1 or self.seed < 0:
            raise ValueError(
                f"epsilon must lie in (0, 1) and seed be >= 0, received {self.epsilon}, {self.seed}"
            )
        if not self._calibrated_here:
            self._refuse_what_the_converter_decides()
        elif self.percentile is not None and self.calibrator not in DEFAULT_PERCENTILES:
            raise ValueError(
                f"percentile is for calibrators {sorted(DEFAULT_PERCENTILES)}, received "
                f"{self.percentile} with {self.calibrator!r}, which cuts no percentile"
            )
        Calibrator(self.calibrator, self.percentile or 0.0)

    def _check_deviations(self) -> None:
        by_tool = self.scheme == GRAPH_TRANSFORM_TOOL
        if by_tool and self.float_layers:
            raise ValueError(
                f"float_layers: scheme {self.scheme!r} leaves in floats what the tool leaves so"
            )
        if self.without and not by_tool:
            raise ValueError(
                f"without needs scheme={GRAPH_TRANSFORM_TOOL!r}, received {list(self.without)} "
                f"with {self.scheme!r}"
            )
        if unknown := sorted(set(self.without) - set(DEVIATIONS)):
            raise ValueError(f"without takes {list(DEVIATIONS)}, received {unknown}")

    def _refuse_what_the_converter_decides(self) -> None:
        given = [name for name in ("float_layers", "own_error") if getattr(self, name)]
        own = AnalysisConfig.calibrator
        if self.calibrator not in ("minmax", own):
            given.append("calibrator")
        if self.percentile is not None:
            given.append("percentile")
        if given:
            raise ValueError(
                f"{', '.join(given)}: only scheme {OWN_RANGES!r} takes that; in scheme "
                f"{self.scheme!r} TensorFlow's converter takes the extrema of the calibration "
                "images and quantizes every layer"
            )

    @property
    def _calibrated_here(self) -> bool:
        """Whether our calibrators find the ranges, and not TensorFlow's converter."""
        return self.scheme in (OWN_RANGES, *WITHOUT_FILE)

    @property
    def simulated(self) -> bool:
        """Whether no file is made and values are rounded in fp32 arithmetic."""
        return self.scheme in WITHOUT_FILE

    @property
    def deviations(self) -> tuple[str, ...]:
        """In what the Graph Transform Tool deviates from TFLite here."""
        return tuple(name for name in DEVIATIONS if name not in self.without)

    @property
    def widths(self) -> simulation.BitWidths:
        """The bit widths of a simulation."""
        return simulation.BitWidths(
            self.weight_bits, self.activation_bits, self.per_channel, self.mixed_bits
        )

    @property
    def rule(self) -> Calibrator:
        """The calibrator with its percentile; the extrema where the converter calibrates."""
        if not self._calibrated_here:
            return Calibrator("minmax", 0.0)
        own = DEFAULT_PERCENTILES.get(self.calibrator, 0.0)
        return Calibrator(self.calibrator, own if self.percentile is None else self.percentile)

    def in_scheme(self, scheme: str) -> "AnalysisConfig":
        """The same analysis in another scheme, without what only `OWN_RANGES` takes."""
        if scheme == OWN_RANGES:
            return replace(self, scheme=scheme)
        own = AnalysisConfig.calibrator
        return replace(
            self, scheme=scheme, calibrator=own, percentile=None, float_layers=(), own_error=False
        )


DEFAULTS = AnalysisConfig()
