"""What an analysis does, as one record; the command line's flags become it.

Light: neither TensorFlow nor Keras nor Numba is loaded, so that flags and experiments can name
settings before there is any need of them.
"""

from dataclasses import dataclass, field, replace

from tfqdyn.datasets import PREPROCESSING, mode_named
from tfqdyn.numerics.calibrators import CALIBRATORS, Calibrator
from tfqdyn.schemes import (
    DEVIATIONS,
    GRAPH_TRANSFORM_TOOL,
    INT8,
    NARROWEST_BITS,
    OWN_RANGES,
    SCHEMES,
    SIMULATED,
    TENSORS,
    UINT8,
    WIDEST_BITS,
    WITHOUT_FILE,
    BitWidths,
)

AUTO = "auto"
"""The preprocessing that is found out from a few labeled images; see `measurement.sanity`."""
TASKS = ("classification", "segmentation", "regression", "none")
"""What labels may be held against outputs as; see `measurement.tasks`."""
HELP = "help"
"""Key of a field's metadata: what its flag says of it."""
GROUPS = {
    "Network and images": ("preprocessing", "max_images", "seed"),
    "Quantization": ("scheme", "calibrator", "percentile", "calibration_size", "trials"),
    "What is measured": ("task", "metric", "own_error", "float_layers", "bins", "epsilon"),
    "Speed and memory": ("batch_size", "threads"),
    "Simulated bit widths": ("weight_bits", "activation_bits", "per_channel", "mixed_bits"),
    "Graph Transform Tool": ("without",),
}
"""Settings under the headings under which `--help` lists their flags."""
_BITS = f"{NARROWEST_BITS} to {WIDEST_BITS}"


@dataclass(frozen=True)
class AnalysisConfig:
    """What an analysis does; every field is a flag of `tfqdyn analyze`, with the same default.

    `calibrator` is None for the scheme's own default, "percentile_of_runs", or "minmax" in int8 and
    where TensorFlow's converter finds the ranges; `percentile` is None for the calibrator's own;
    `max_images` None for all;
    `batch_size` is the largest number of images in one forward pass (fewer where activations
    would not fit; no figure depends on it); `own_error` asks for each layer's own error and its
    sources, one more pass over the images. `weight_bits`, `activation_bits`, `per_channel` and
    `mixed_bits` are those of `schemes.BitWidths`, for scheme "simulated" alone; `without` names
    the `schemes.DEVIATIONS` that scheme "graph_transform_tool" leaves out. `task` is None for what
    shapes and labels tell (`measurement.tasks`), `metric` names a function of the user's own.
    """

    preprocessing: str = field(
        default="none",
        metadata={
            HELP: f"What the network expects: {', '.join(PREPROCESSING)}; a module of "
            f"keras.applications, such as mobilenet_v2; {AUTO}, to try on a few images; or your "
            "own package.module:function."
        },
    )
    scheme: str = field(
        default="uint8",
        metadata={
            HELP: f"What to convert to: {', '.join(SCHEMES)}; or {' or '.join(WITHOUT_FILE)}, "
            "without a file; for qat: uint8 or int8."
        },
    )
    calibrator: str | None = field(
        default=None,
        metadata={
            HELP: f"One of {', '.join(CALIBRATORS)}; by default percentile_of_runs, in int8 minmax."
        },
    )
    percentile: float | None = field(
        default=None,
        metadata={
            HELP: "Percent that the percentile calibrators cut off at each end; by default 1 (of "
            "values), or 5 (of images' extrema)."
        },
    )
    calibration_size: int = field(default=64, metadata={HELP: "Images per calibration draw."})
    trials: int = field(default=5, metadata={HELP: "How many calibration draws."})
    max_images: int | None = field(
        default=None, metadata={HELP: "Score at most this many test images; by default all."}
    )
    batch_size: int = field(default=50, metadata={HELP: "The most images in one forward pass."})
    threads: int = field(default=2, metadata={HELP: "Threads to compute with."})
    seed: int = field(default=0, metadata={HELP: "Seeds the draws of images."})
    bins: int = field(default=128, metadata={HELP: "Bins of the layers' histograms."})
    epsilon: float = field(default=1e-9, metadata={HELP: "Added to each bin's probability."})
    float_layers: tuple[str, ...] = field(default=(), metadata={HELP: "Layers that stay in fp32."})
    own_error: bool = field(
        default=False, metadata={HELP: "Measure each layer's own error and its sources too."}
    )
    weight_bits: int = field(default=8, metadata={HELP: f"Simulated: bits of kernels, {_BITS}."})
    activation_bits: int = field(
        default=8, metadata={HELP: f"Simulated: bits of layer outputs, {_BITS}."}
    )
    per_channel: tuple[str, ...] = field(
        default=(),
        metadata={HELP: f"Simulated: what has a grid for every channel: {', '.join(TENSORS)}."},
    )
    mixed_bits: int = field(
        default=0,
        metadata={
            HELP: "Simulated: extra bits for depthwise layers; group convolutions get some of them."
        },
    )
    without: tuple[str, ...] = field(
        default=(),
        metadata={
            HELP: f"{GRAPH_TRANSFORM_TOOL}: its deviations from TFLite that are to be left out."
        },
    )
    task: str | None = field(
        default=None,
        metadata={
            HELP: f"What the labels are for: {', '.join(TASKS)}; KIND:OUTPUT for one of several "
            "outputs. By default guessed from the shapes, and reported."
        },
    )
    metric: str | None = field(
        default=None,
        metadata={
            HELP: "Your own figure, package.module:function: it takes all outputs (by position or "
            "name) and the labels, and gives a number or a dict of numbers. This runs the code of "
            "that module, from the current folder too."
        },
    )

    def __post_init__(self) -> None:
        for name in ("calibration_size", "trials", "batch_size", "threads", "bins", "max_images"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, received {value}")
        known = [*SCHEMES, *WITHOUT_FILE]
        if self.scheme not in known:
            raise ValueError(f"scheme must be one of {known}, received {self.scheme!r}")
        if self.widths != BitWidths() and self.scheme != SIMULATED:
            raise ValueError(
                f"bit widths need scheme={SIMULATED!r}, received {self.widths} with {self.scheme!r}"
            )
        if self.simulated and self.own_error:
            raise ValueError("own_error needs a .tflite file; a simulated scheme makes none")
        self._check_deviations()
        if self.task is not None and self.task.partition(":")[0] not in TASKS:
            raise ValueError(
                f"task must be one of {list(TASKS)}, or KIND:OUTPUT, received {self.task!r}"
            )
        object.__setattr__(self, "preprocessing", mode_named(self.preprocessing))
        if self.preprocessing not in (*PREPROCESSING, AUTO) and ":" not in self.preprocessing:
            raise ValueError(
                f"preprocessing must be one of {sorted([*PREPROCESSING, AUTO])}, a module of "
                "keras.applications (mobilenet_v2), or package.module:function, received "
                f"{self.preprocessing!r}"
            )
        if not 0 < self.epsilon < 1 or self.seed < 0:
            raise ValueError(
                f"epsilon must lie in (0, 1) and seed be >= 0, received {self.epsilon}, {self.seed}"
            )
        if not self.own_ranges:
            self._refuse_what_the_converter_decides()
            return
        rule = Calibrator(self._calibrator, self.percentile or 0.0).rule
        if self.percentile is not None and rule.percentile is None:
            cutting = sorted(n for n, r in CALIBRATORS.items() if r.percentile is not None)
            raise ValueError(
                f"percentile is for calibrators {cutting}, received "
                f"{self.percentile} with {self._calibrator!r}, which cuts no percentile"
            )

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
        if self.calibrator not in ("minmax", None):
            given.append("calibrator")
        if self.percentile is not None:
            given.append("percentile")
        if given:
            raise ValueError(
                f"{', '.join(given)}: only schemes {' and '.join(OWN_RANGES)} take that; in scheme "
                f"{self.scheme!r} TensorFlow's converter takes the extrema of the calibration "
                "images and quantizes every layer"
            )

    @property
    def own_ranges(self) -> bool:
        """Whether our calibrators find the ranges, and not TensorFlow's converter.

        In int8 they do as soon as a calibrator, float layers or own errors are asked for.
        """
        if self.scheme == INT8:
            asked = self.calibrator is not None or self.percentile is not None
            return asked or bool(self.float_layers) or self.own_error
        return self.scheme in (UINT8, *WITHOUT_FILE)

    @property
    def rounding(self) -> str | None:
        """The scheme whose rounding of ours takes all layers; None for the converter's."""
        return self.scheme if self.own_ranges else None

    @property
    def with_own_ranges(self) -> "AnalysisConfig":
        """The same analysis on ranges of our calibrators', in a scheme that takes them."""
        return replace(self, calibrator=self._calibrator) if self.scheme in OWN_RANGES else self

    @property
    def _calibrator(self) -> str:
        clipping = self.scheme in (UINT8, *WITHOUT_FILE)
        return self.calibrator or ("percentile_of_runs" if clipping else "minmax")

    @property
    def simulated(self) -> bool:
        """Whether no file is made and values are rounded in fp32 arithmetic."""
        return self.scheme in WITHOUT_FILE

    @property
    def deviations(self) -> tuple[str, ...]:
        """In what the Graph Transform Tool deviates from TFLite here."""
        return tuple(name for name in DEVIATIONS if name not in self.without)

    @property
    def widths(self) -> BitWidths:
        """The bit widths of a simulation."""
        return BitWidths(self.weight_bits, self.activation_bits, self.per_channel, self.mixed_bits)

    @property
    def rule(self) -> Calibrator:
        """The calibrator with its percentile; the extrema where the converter calibrates."""
        own = CALIBRATORS[self._calibrator].percentile or 0.0
        return Calibrator(self._calibrator, own if self.percentile is None else self.percentile)

    @property
    def with_trials_that_differ(self) -> "AnalysisConfig":
        """The same analysis; of one trial where every draw gives the same file."""
        alike = self.scheme in SCHEMES and not SCHEMES[self.scheme].calibrated
        return replace(self, trials=1) if alike else self

    @property
    def of_given_file(self) -> "AnalysisConfig":
        """The same analysis of a .tflite file that is there already: one trial.

        Raises:
            ValueError: a simulation or own errors are asked for.
        """
        if self.simulated or self.own_error:
            raise ValueError(
                "a given .tflite file runs as it is: scheme='simulated' and own_error need a "
                f"network that we round, received scheme={self.scheme!r}, "
                f"own_error={self.own_error}"
            )
        return replace(self, trials=1)

    def in_scheme(self, scheme: str) -> "AnalysisConfig":
        """The same analysis in another scheme; but uint8, as TensorFlow's converter makes it."""
        if scheme == UINT8:
            return replace(self, scheme=scheme)
        return replace(
            self, scheme=scheme, calibrator=None, percentile=None, float_layers=(), own_error=False
        )


DEFAULTS = AnalysisConfig()
