"""Every figure of `results.json` once more: NumPy, Keras and the interpreter, nothing of tfqdyn.

It reads the network as it is (batch norms not folded), every trial's `.tflite` file, and of
`results.json` only which images calibrated and were scored, and the settings. It knows the network
below by hand: which Keras layer gives which row's output.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray
from scipy import stats

# row: (number, kind, Keras layers with its output, its kernel, its batch norm, TFLite operator)
ROWS: dict[str, tuple[int | None, str, str, str | None, str | None, str]] = {
    "stem": (1, "conv", "stem_relu", "stem", "stem_bn", "CONV_2D"),
    "dw": (2, "depthwise", "dw_relu", "dw", "dw_bn", "DEPTHWISE_CONV_2D"),
    "pw": (3, "pointwise", "pw_bn", "pw", "pw_bn", "CONV_2D"),
    "add": (None, "add", "add", None, None, "ADD"),
    "grouped": (4, "group", "grouped", "grouped", None, "CONV_2D"),
    "max": (None, "max_pool", "max", None, None, "MAX_POOL_2D"),
    "average": (None, "average_pool", "average", None, None, "AVERAGE_POOL_2D"),
    "concat": (None, "concatenate", "concat", None, None, "CONCATENATION"),
    "gap": (None, "mean", "gap", None, None, "MEAN"),
    "logits": (5, "dense", "", "logits", None, "FULLY_CONNECTED"),
    "logits_softmax": (None, "softmax", "logits", None, None, "SOFTMAX"),
}
PRODUCERS = {
    "stem": ["images"], "dw": ["stem"], "pw": ["dw"], "add": ["pw", "stem"], "grouped": ["add"],
    "max": ["add"], "average": ["add"], "concat": ["grouped", "max", "average"], "gap": ["concat"],
    "logits": ["gap"], "logits_softmax": ["logits"],
}  # fmt: skip
LIMITS = {"uint8": (0, 255), "int8": (-128, 127), "int16": (-32768, 32767)}


def network() -> keras.Model:
    """Conv, depthwise by 2, linear pointwise, add, grouped conv, pools, concat, GAP, dense."""
    k = keras.layers
    keras.utils.set_random_seed(8)
    x = inputs = keras.Input((12, 12, 3), name="images")
    x = k.Conv2D(8, 3, padding="same", use_bias=False, name="stem")(x)
    x = k.BatchNormalization(name="stem_bn")(x)
    x = skip = k.ReLU(6.0, name="stem_relu")(x)
    x = k.DepthwiseConv2D(3, padding="same", depth_multiplier=2, use_bias=False, name="dw")(x)
    x = k.BatchNormalization(name="dw_bn")(x)
    x = k.ReLU(name="dw_relu")(x)
    x = k.Conv2D(8, 1, name="pw")(x)
    x = k.BatchNormalization(scale=False, name="pw_bn")(x)
    x = k.Add(name="add")([x, skip])
    grouped = k.Conv2D(8, 3, strides=2, groups=2, activation="relu", name="grouped")(x)
    largest = k.MaxPooling2D(3, strides=2, name="max")(x)
    average = k.AveragePooling2D(3, strides=2, name="average")(x)
    x = k.Concatenate(name="concat")([grouped, largest, average])
    x = k.GlobalAveragePooling2D(name="gap")(x)
    return keras.Model(inputs, k.Dense(5, activation="softmax", name="logits")(x), name="net")


def preprocess(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pixels in [-1, 1], as `keras.applications.mobilenet.preprocess_input` gives them."""
    return np.asarray(keras.applications.mobilenet.preprocess_input(images.astype(np.float32)))


def fp32(model: keras.Model, x: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
    """The output of every row, in the network as it is."""
    layers = {row: layer for row, (_, _, layer, *_) in ROWS.items() if layer}
    probe = keras.Model(model.inputs, [model.get_layer(layer).output for layer in layers.values()])
    found = dict(zip(layers, probe.predict(x, verbose=0, batch_size=7), strict=True))
    values = {row: np.asarray(value, np.float64) for row, value in found.items()}
    kernel, bias = (np.float64(w) for w in model.get_layer("logits").get_weights())
    values["logits"] = values["gap"] @ kernel + bias
    return {row: values[row] for row in ROWS}


class File:
    """A `.tflite` file: codes of every row's tensor, image by image, and how they are encoded."""

    def __init__(self, path: Path) -> None:
        self.interpreter = Interpreter(
            model_path=str(path),
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        self.interpreter.allocate_tensors()
        self.details = {d["index"]: d for d in self.interpreter.get_tensor_details()}
        operators = list(self.interpreter._get_ops_details())
        self.tensors: dict[str, int] = {}
        self.kernels: dict[str, int] = {}
        for row, (*_, layer, _, kind) in ROWS.items():
            operator = next(o for o in operators if o["op_name"] == kind)
            operators.remove(operator)
            self.tensors[row] = int(operator["outputs"][0])
            if layer:
                self.kernels[row] = int(operator["inputs"][1])
        left = {o["op_name"] for o in operators}
        assert left <= {"QUANTIZE"}, left

    def encoding(self, tensor: int) -> tuple[NDArray[np.float64], NDArray[np.int64], str]:
        """Scales, zero points, dtype."""
        detail = self.details[tensor]
        found = detail["quantization_parameters"]
        dtype = np.dtype(detail["dtype"]).name
        scales, zeros = found["scales"].astype(np.float64), found["zero_points"].astype(np.int64)
        return scales, np.broadcast_to(zeros, scales.shape), dtype  # files may store one for all

    def real(self, row: str, codes: NDArray) -> NDArray[np.float64]:
        (scale,), (zero,), _ = self.encoding(self.tensors[row])
        return scale * (codes.astype(np.int64) - zero)

    def run(self, x: NDArray[np.float32]) -> dict[str, NDArray]:
        """Codes of every row for preprocessed images."""
        (entry,) = self.interpreter.get_input_details()
        (scale,), (zero,), dtype = self.encoding(entry["index"])
        low, high = LIMITS[dtype]
        codes = np.clip(np.floor(x.astype(np.float64) / scale + 0.5) + zero, low, high)
        found: dict[str, list[NDArray]] = {row: [] for row in ROWS}
        for image in codes.astype(dtype):
            self.interpreter.set_tensor(entry["index"], image[None])
            self.interpreter.invoke()
            for row, tensor in self.tensors.items():
                found[row].append(self.interpreter.get_tensor(tensor))
        return {row: np.concatenate(values) for row, values in found.items()}


# calibration


def binned(values: NDArray, bins: int) -> tuple[NDArray, NDArray, float]:
    """Centres and counts of bins of a power of 2 around 0, exact zeros apart; and the width."""
    largest = np.abs(values).max()
    zeros = int((values == 0).sum())
    if largest == 0:
        return np.zeros(1), np.array([zeros], float), 1.0
    width = 2.0 ** max(math.floor(math.log2(largest / (bins // 2))) + 1, -100)
    place = np.clip(np.floor(values[values != 0] / width), -(bins // 2), bins // 2 - 1)
    centres, counts = np.unique((place + 0.5) * width, return_counts=True)
    if zeros:
        at = np.searchsorted(centres, 0.0)
        centres, counts = np.insert(centres, at, 0.0), np.insert(counts, at, zeros)
    return centres, counts.astype(float), width


def quantile(values: NDArray, bins: int, share: float) -> float:
    centres, counts, width = binned(values, bins)
    target, above = share * counts.sum(), np.cumsum(counts)
    i = min(int(np.searchsorted(above, target)), len(counts) - 1)
    inside = (target - above[i] + counts[i]) / counts[i]
    return float(centres[i] + (inside - 0.5) * (width if centres[i] else 0.0))


def grid_error(centres: NDArray, counts: NDArray, low: float, high: float) -> float:
    step = (high - low) / 255
    zero = math.floor(-low / step + 0.5)
    codes = np.clip(np.floor(centres / step + 0.5) + zero, 0, 255)
    return float((counts * (centres - step * (codes - zero)) ** 2).sum())


def least_error(values: NDArray, bins: int) -> tuple[float, float]:
    """Both ends shrunk together, then each alone, on ever finer grids of 17 factors."""
    centres, counts, _ = binned(values, bins)
    ends = [min(centres[0], 0.0), max(centres[-1], 0.0)]
    if ends[0] == ends[1]:
        return ends[0], ends[1]
    best, error = list(ends), grid_error(centres, counts, ends[0], ends[1])
    for spread in (0.5, 0.125, 0.03125):
        for moved in ((1, 1), (1, 0), (0, 1)):
            middle = list(best)
            for factor in np.linspace(1 - spread, 1 + spread, 17):
                low, high = (m * factor if move else m for m, move in zip(middle, moved))
                low, high = max(low, ends[0]), min(high, ends[1])
                if low < high and grid_error(centres, counts, low, high) < error:
                    best, error = [low, high], grid_error(centres, counts, low, high)
    return best[0], best[1]


def calibrated(values: NDArray, name: str, percentile: float, bins: int) -> tuple[float, float]:
    """The range of some values [N, ...] by a calibrator."""
    flat = values.reshape(len(values), -1)
    lows, highs = np.sort(flat.min(axis=1)), np.sort(flat.max(axis=1))
    low, high = lows[0], highs[-1]
    if name == "percentile_of_runs":
        count, share = np.float32(len(flat)), np.float32(percentile) / np.float32(100)
        first = math.floor(count * share + np.float32(0.5))
        last = min(len(flat) - 1, math.floor(count * (1 - share) + np.float32(0.5)))
        low, high = lows[first], highs[last]
    elif name != "minmax":
        if name == "percentile":
            share = percentile / 100
            ends = quantile(flat, bins, share), quantile(flat, bins, 1 - share)
        else:
            ends = least_error(flat, bins)
        low, high = np.clip(ends, low, high)
    return float(low), float(high)


# figures


def moments(values: NDArray) -> dict[str, float]:
    centred = values - values.mean()
    variance = (centred**2).mean()
    return {
        "sparsity": float((values == 0).mean()),
        "kurtosis": float((centred**4).mean() / variance**2 - 3),
    }


def uniformity(values: NDArray, bins: int) -> float:
    counts = np.histogram(values, bins, (values.min(), values.max()))[0]
    share = counts[counts > 0] / counts.sum()
    return math.log(bins) + float((share * np.log(share)).sum())


def uniformity_of_bins(values: NDArray, bins: int) -> float:
    """`uniformity` of activations: their bins of calibration, each at its centre."""
    centres, counts, _ = binned(values, 32768)
    low, high = values.min(), values.max()
    place = np.clip(((centres - low) * bins / (high - low)).astype(int), 0, bins - 1)
    share = np.bincount(place, counts, bins) / counts.sum()
    share = share[share > 0]
    return math.log(bins) + float((share * np.log(share)).sum())


def weights(kernel: NDArray, axes: tuple[int, ...], bins: int) -> tuple[dict[str, float], NDArray]:
    """Figures of a kernel, and its channels as columns."""
    rest = [a for a in range(kernel.ndim) if a not in axes]
    columns = kernel.transpose(*rest, *axes).reshape(math.prod(kernel.shape[a] for a in rest), -1)
    span, spans = float(np.ptp(kernel)), np.ptp(columns, axis=0)
    figures = {
        "range": span,
        "average_precision": float((spans / span).mean()),
        **moments(kernel),
        "kl_to_uniform": uniformity(kernel, bins),
    }
    return figures, columns


def folded_bias(model: keras.Model, row: str) -> NDArray:
    """The bias with the batch norm folded in."""
    *_, layer, norm, _ = ROWS[row]
    found = model.get_layer(layer).get_weights()[1:]
    bias = np.float64(found[0]) if found else 0.0
    if norm is None:
        return np.asarray(bias)
    bn = model.get_layer(norm)
    gamma = np.float64(bn.gamma) if bn.scale else 1.0
    factor = gamma / np.sqrt(np.float64(bn.moving_variance) + bn.epsilon)
    return np.float64(bn.beta) + (bias - np.float64(bn.moving_mean)) * factor


def folded(model: keras.Model, row: str) -> tuple[NDArray, NDArray, NDArray | None, float | None]:
    """Kernel as it is, kernel with its batch norm folded in, variance, epsilon."""
    _, kind, _, layer, norm, _ = ROWS[row]
    kernel = np.float64(model.get_layer(layer).get_weights()[0])
    if norm is None:
        return kernel, kernel, None, None
    bn = model.get_layer(norm)
    variance = np.float64(bn.moving_variance)
    gamma = np.float64(bn.gamma) if bn.scale else np.ones_like(variance)
    factor = gamma / np.sqrt(variance + bn.epsilon)
    factor = factor.reshape(kernel.shape[2:]) if kind == "depthwise" else factor
    return kernel, kernel * factor, variance, bn.epsilon


def decibels(signal: float, error: float) -> float:
    if error == 0:
        return math.inf
    return 10 * math.log10(signal / error) if signal else -math.inf


def spread(trials: Sequence[float]) -> dict[str, Any]:
    with np.errstate(invalid="ignore"):  # of infinite SQNRs
        std = float(np.std(trials, ddof=1)) if len(trials) > 1 else None
    return {"mean": float(np.mean(trials)), "std": std, "trials": list(trials)}


def compared(
    x: NDArray, q: NDArray, edges: tuple[float, float], grid: tuple[float, float, float],
    bins: int, epsilon: float,
) -> dict[str, Any]:  # fmt: skip
    """fp32 values [N, ...] against the dequantized ones."""
    axes = tuple(range(1, x.ndim))
    signals, errors = (x**2).sum(axis=axes), ((x - q) ** 2).sum(axis=axes)
    by_image = np.array([decibels(s, e) for s, e in zip(signals, errors)])
    finite = by_image[np.isfinite(by_image)]
    low, high = edges
    p, r = (np.histogram(np.clip(v, low, high), bins, (low, high))[0] for v in (x, q))
    a, b = ((c / c.sum() + epsilon) / (1 + bins * epsilon) for c in (p, r))
    kl, entropy = float((a * np.log(a / b)).sum()), float(-(a * np.log(a)).sum())
    bottom, top, step = grid
    return {
        "qmse": float(((x - q) ** 2).mean()),
        "qce": entropy + kl,
        "qkl_div": kl,
        "entropy": entropy,
        "sqnr_db": float(finite.mean()),
        "sqnr_infinite": int((~np.isfinite(by_image)).sum()),
        "sqnr_pooled_db": decibels(signals.sum(), errors.sum()),
        "outside_share": float(((x < low) | (x > high)).mean()),
        "clipped_share": float(((x < bottom - step / 2) | (x > top + step / 2)).mean()),
        "histogram": {"low": low, "high": high, "fp32": p.tolist(), "quantized": r.tolist()},
        "channels": [
            ((x**2).reshape(-1, x.shape[-1]).sum(axis=0)),
            (((x - q) ** 2).reshape(-1, x.shape[-1]).sum(axis=0)),
        ],
    }


def interval(changes: NDArray) -> tuple[float, float]:
    """95 % interval in points, of changes [T, N]: a two-way analysis of variance."""
    ones = np.ones((len(changes), 1))
    table = np.concatenate([changes, ones, -ones], axis=1)
    draws, images = table.shape
    mean = table.mean()
    of_image, of_draw = table.mean(axis=0) - mean, table.mean(axis=1) - mean
    per_image = draws * (of_image**2).sum() / (images - 1)
    per_draw = images * (of_draw**2).sum() / (draws - 1)
    degrees = (images - 1) * (draws - 1)
    rest = ((table - mean - of_image - of_draw[:, None]) ** 2).sum() / degrees
    variance = max(per_image + per_draw - rest, per_image, per_draw)
    parts = per_image**2 / (images - 1) + per_draw**2 / (draws - 1) + rest**2 / degrees
    half = stats.t.ppf(0.975, max(draws - 1, variance**2 / parts))
    half *= math.sqrt(variance / draws / images)
    return 100 * max(-1.0, mean - half), 100 * min(1.0, mean + half)


def mcnemar(lost: int, gained: int) -> float:
    """Twice the smaller tail of a fair coin's throws, at most 1."""
    thrown, few = lost + gained, min(lost, gained)
    tail = sum(math.comb(thrown, k) for k in range(few + 1)) / 2**thrown
    return min(1.0, 2 * tail)


def softmax(logits: NDArray) -> NDArray:
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


# each layer's own error: its op on fp32 values that are rounded to the grid of what it reads

TOPS = {"stem": 6.0, "dw": math.inf, "grouped": math.inf}
"""Where a ReLU is fused, and what it cuts off at."""


def windows(x: NDArray, size: int, stride: int, same: bool) -> NDArray:
    """[N, H', W', C, size, size] of x [N, H, W, C]."""
    if same:
        x = np.pad(x, ((0, 0), (size // 2,) * 2, (size // 2,) * 2, (0, 0)))
    view = np.lib.stride_tricks.sliding_window_view(x, (size, size), (1, 2))
    return view[:, ::stride, ::stride]


def computed(row: str, inputs: Sequence[NDArray], kernel: Any = None, bias: Any = None) -> NDArray:
    """A row's op in float64, with the ReLU that follows it."""
    kind, x = ROWS[row][1], inputs[0]
    if kind in ("conv", "depthwise", "pointwise", "group"):
        stride = 2 if kind == "group" else 1
        found = windows(x, kernel.shape[0], stride, kind != "group")
        if kind == "depthwise":
            y = np.einsum("nhwcij,ijcm->nhwcm", found, kernel).reshape(*found.shape[:3], -1)
        else:
            groups = 2 if kind == "group" else 1
            parts = zip(np.split(found, groups, 3), np.split(kernel, groups, 3))
            y = np.concatenate([np.einsum("nhwcij,ijck->nhwk", f, k) for f, k in parts], -1)
        return np.clip(y + bias, 0, TOPS[row]) if row in TOPS else y + bias
    if kind == "dense":
        return x @ kernel + bias
    return {
        "add": lambda: inputs[0] + inputs[-1],
        "max_pool": lambda: windows(x, 3, 2, False).max(axis=(-1, -2)),
        "average_pool": lambda: windows(x, 3, 2, False).mean(axis=(-1, -2)),
        "concatenate": lambda: np.concatenate(inputs, axis=-1),
        "mean": lambda: x.mean(axis=(1, 2)),
        "softmax": lambda: softmax(x),
    }[kind]()


def on_grid(values: NDArray, grid: tuple[float, int], clip: bool = True) -> NDArray:
    """Real values of the nearest codes 0 to 255; of codes beyond these too where not clipped."""
    scale, zero = grid
    codes = np.floor(values / scale + 0.5) + zero
    return scale * ((np.clip(codes, 0, 255) if clip else codes) - zero)


class Recomputed:
    """The figures of one run.

    Args:
        model: the network that was analyzed.
        folder: with `results.json`'s files.
        record: what it says; only `config` and the images of `data` are read.
        x_train, x_test, y_test: the data.
    """

    def __init__(
        self, model: keras.Model, folder: Path, record: Mapping[str, Any],
        x_train: NDArray, x_test: NDArray, y_test: NDArray,
    ) -> None:  # fmt: skip
        self.model, self.config = model, record["config"]
        self.scored = np.array(record["data"]["scored"])
        self.labels = y_test[self.scored]
        self.images = preprocess(x_test[self.scored])
        self.values = fp32(model, self.images)
        drawn = record["data"]["calibration_images"]
        self.calibration = [fp32(model, preprocess(x_train[np.array(d)])) for d in drawn]
        self.files = [File(folder / f"trial_{k}.tflite") for k in range(len(drawn))]
        self.codes = [file.run(self.images) for file in self.files]

    def summary(self) -> dict[str, Any]:
        right = self.values["logits"].argmax(axis=1) == self.labels
        answers = [codes["logits_softmax"].argmax(axis=1) == self.labels for codes in self.codes]
        changes = right.astype(int) - np.array(answers)
        p, clip = softmax(self.values["logits"]), 1e-7
        found: dict[str, list[float]] = {"qmse": [], "qce": [], "qkl_div": []}
        for file, codes in zip(self.files, self.codes):
            q = softmax(file.real("logits", codes["logits"]))
            found["qmse"].append(float(((p - q) ** 2).mean()))
            log_q = np.log(np.clip(q, clip, 1 - clip))
            found["qce"].append(float(-(p * log_q).sum(axis=1).mean()))
            a, b = np.clip(p, clip, 1), np.clip(q, clip, 1)
            found["qkl_div"].append(float((a * np.log(a / b)).sum(axis=1).mean()))
        a32, a8 = right.mean(), [answer.mean() for answer in answers]
        lost, gained = ([self.scored[row == s].tolist() for row in changes] for s in (1, -1))
        return {
            "fp32_accuracy": float(a32),
            "quantized_accuracy": spread(a8),
            "percent_accuracy_decrease": spread([abs(a32 - a) / a32 * 100 for a in a8]),
            **{name: spread(trials) for name, trials in found.items()},
            "loss": {
                "points": spread([100 * (a32 - a) for a in a8]),
                "interval": list(interval(changes)),
                "lost": lost,
                "gained": gained,
                "mcnemar_p": [mcnemar(len(a), len(b)) for a, b in zip(lost, gained)],
            },
        }

    def layer(self, row: str) -> dict[str, Any]:
        """One row's record, as `results.json` has it."""
        number, kind, _, layer, _, _ = ROWS[row]
        bins, epsilon = self.config["bins"], self.config["epsilon"]
        x = self.values[row]
        ranges, channel_ranges, uniform, grids, trials = [], [], [], [], []
        for calibration, file, codes in zip(self.calibration, self.files, self.codes):
            seen = calibration[row]
            rule = self.config["calibrator"], self.config["percentile"]
            low, high = calibrated(seen, *rule, 32768)
            ranges.append(high - low)
            by_channel = [calibrated(seen[..., c], *rule, 1024) for c in range(seen.shape[-1])]
            channel_ranges.append(np.array([b - a for a, b in by_channel]))
            uniform.append(uniformity_of_bins(seen, bins))
            (scale,), (zero,), dtype = file.encoding(file.tensors[row])
            first, last = (scale * (end - zero) for end in LIMITS[dtype])
            edges = min(seen.min(), first), max(seen.max(), last)
            real = file.real(row, codes[row]).reshape(x.shape)
            trials.append(compared(x, real, edges, (first, last, scale), bins, epsilon))
            grids.append([float(scale), int(zero)])
        signal, error = np.sum([trial.pop("channels") for trial in trials], axis=0)
        precision = [c / r for c, r in zip(channel_ranges, ranges)]
        names = [name for name in trials[0] if name != "histogram"]
        macs, params = self.cost(row)
        return {
            "number": number,
            "name": row,
            "kind": kind,
            "output_shape": list(x.shape[1:]),
            "producers": PRODUCERS[row],
            "macs": macs,
            "params": params,
            **self.kernel_figures(row, layer, bins),
            "activations": {
                "range": spread(ranges),
                "average_precision": spread([float(p.mean()) for p in precision]),
            },
            **{name: spread([trial[name] for trial in trials]) for name in names},
            "rms": float(np.sqrt((x**2).mean())),
            **moments(x),
            "kl_to_uniform": spread(uniform),
            "quantization": grids,
            "channels": {
                **self.kernel_channels(row, layer, bins),
                "activation_range": np.mean(channel_ranges, axis=0).tolist(),
                "activation_precision": np.mean(precision, axis=0).tolist(),
                "sqnr_db": [decibels(s, e) for s, e in zip(signal, error)],
            },
            "histogram": trials[0]["histogram"],
            "dtype": dtype,
            "kernel_grid": self.kernel_grid(row, layer),
        }

    def grid(self, trial: int, row: str) -> tuple[float, int]:
        """Scale of a row's output, or of the input, and the place of 0 among the 256 codes."""
        file = self.files[trial]
        (entry,) = file.interpreter.get_input_details()
        tensor = entry["index"] if row == "images" else file.tensors[row]
        (scale,), (zero,), dtype = file.encoding(tensor)
        return float(scale), int(zero) + {"uint8": 0, "int8": 128}[dtype]

    def own(self, row: str, qmse: Sequence[float]) -> dict[str, Any]:
        """What a row of a uint8 or int8 file does wrong itself; `qmse` is all its error."""
        reads = [self.images if n == "images" else self.values[n] for n in PRODUCERS[row]]
        reads = [np.asarray(x, np.float64) for x in reads]
        exact = self.values[row]
        found: dict[str, list[Any]] = {}
        for trial, all_of_it in enumerate(qmse):
            scale, zero = grid = self.grid(trial, row)
            before = [self.grid(trial, name) for name in PRODUCERS[row]]
            rounded = [on_grid(x, g) for x, g in zip(reads, before)]
            kernel = bias = stored = None
            if row in self.files[trial].kernels:
                kernel, bias = folded(self.model, row)[1], folded_bias(self.model, row)
                stored = self.stored_kernel(trial, row).reshape(kernel.shape)
            error = self.given(trial, row, rounded) - exact
            beyond = np.maximum(-scale * zero - exact, exact - scale * (255 - zero))
            sources = {
                "input": computed(row, rounded, kernel, bias) - exact,
                "weights": None if stored is None else computed(row, reads, stored, bias) - exact,
                "accumulator": None,
                "requantization": on_grid(exact, grid, clip=False) - exact,
                "clipping": np.where(beyond > scale / 2, beyond, 0.0),
            }
            hands_on = ["max_pool", "average_pool"]
            if self.config["scheme"] == "int8":  # all that it joins is on one grid there
                hands_on.append("concatenate")
            if ROWS[row][1] in hands_on and grid == before[0]:
                sources["clipping"] = None
                if ROWS[row][1] != "average_pool":
                    sources["requantization"] = None
            axes, signal = tuple(range(1, exact.ndim)), (exact**2).sum()
            by_image = [
                decibels(s, e) for s, e in zip((exact**2).sum(axis=axes), (error**2).sum(axis=axes))
            ]
            finite = [d for d in by_image if math.isfinite(d)]
            shifts = error.reshape(-1, exact.shape[-1])
            figures = {
                "own_qmse": (error**2).mean(),
                "own_sqnr_db": np.mean(finite),
                "own_sqnr_infinite": len(by_image) - len(finite),
                "own_sqnr_pooled_db": decibels(signal, (error**2).sum()),
                "inherited_qmse": all_of_it - (error**2).mean(),
                "own_bias_share": (shifts.mean(axis=0) ** 2).sum() / (shifts**2).mean(axis=0).sum(),
                **{
                    f"source.{name}": math.inf if e is None else decibels(signal, (e**2).sum())
                    for name, e in sources.items()
                },
            }
            for name, value in figures.items():
                found.setdefault(name, []).append(float(value))
        over_trials = {name: spread(values) for name, values in found.items()}
        names = [name for name in over_trials if name.startswith("source.")]
        by_source = {name.removeprefix("source."): over_trials.pop(name) for name in names}
        top = TOPS.get(row, math.inf)
        saturated = float((exact >= top).mean()) if math.isfinite(top) else 0.0
        return {**over_trials, "source_sqnr_db": by_source, "saturated_share": saturated}

    def given(self, trial: int, row: str, rounded: Sequence[NDArray]) -> NDArray[np.float64]:
        """What a row of a uint8 or int8 file gives for inputs on their grids, in real numbers."""
        grid, (source, _) = self.grid(trial, row), self.grid(trial, PRODUCERS[row][0])
        if row not in self.files[trial].kernels:
            return on_grid(computed(row, rounded), grid)
        kernel = self.stored_kernel(trial, row).reshape(folded(self.model, row)[1].shape)
        step, _, _ = self.files[trial].encoding(self.files[trial].kernels[row])
        unit = source * step  # of the int32 sums, so of the bias
        bias = unit * np.rint(folded_bias(self.model, row) / unit)
        return on_grid(computed(row, rounded, kernel, bias), grid)

    def stored_kernel(self, trial: int, row: str) -> NDArray[np.float64]:
        """The file's kernel in real numbers, output channels last."""
        file = self.files[trial]
        tensor = file.kernels[row]
        scale, zero, _ = file.encoding(tensor)
        codes = file.interpreter.get_tensor(tensor).astype(np.int64)
        order = {"depthwise": (1, 2, 0, 3), "dense": (1, 0)}.get(ROWS[row][1], (1, 2, 3, 0))
        return scale * (codes.transpose(order) - zero)

    def axes(self, row: str) -> tuple[int, ...]:
        kind = ROWS[row][1]
        return {"depthwise": (2, 3), "dense": (1,)}.get(kind, (3,))

    def kernel_figures(self, row: str, layer: str | None, bins: int) -> dict[str, Any]:
        if layer is None:
            return {"weights": None, "folded_weights": None}
        before, after, _, _ = folded(self.model, row)
        return {
            "weights": weights(before, self.axes(row), bins)[0],
            "folded_weights": weights(after, self.axes(row), bins)[0],
        }

    def kernel_channels(self, row: str, layer: str | None, bins: int) -> dict[str, Any]:
        names = (
            "weight_range", "folded_weight_range", "folded_weight_precision", "folded_weight_low",
            "batch_norm_variance", "batch_norm_epsilon",
        )  # fmt: skip
        if layer is None:
            return dict.fromkeys(names)
        before, after, variance, epsilon = folded(self.model, row)
        (_, plain), (_, columns) = (weights(k, self.axes(row), bins) for k in (before, after))
        spans = np.ptp(columns, axis=0)
        found = (
            np.ptp(plain, axis=0).tolist(), spans.tolist(), (spans / np.ptp(after)).tolist(),
            columns.min(axis=0).tolist(), None if variance is None else variance.tolist(), epsilon,
        )  # fmt: skip
        return dict(zip(names, found))

    def kernel_grid(self, row: str, layer: str | None) -> dict[str, Any] | None:
        if layer is None:
            return None
        scale, zero, dtype = self.files[0].encoding(self.files[0].kernels[row])
        return {"dtype": dtype, "scale": scale.tolist(), "zero_point": zero.tolist()}

    def cost(self, row: str) -> tuple[int, int]:
        """Multiplications an image, and numbers of the kernel and the bias."""
        if ROWS[row][3] is None:
            return 0, 0
        shape, out = folded(self.model, row)[1].shape, self.values[row].shape[1:]
        outputs = out[-1]
        # a convolution's kernel [H, W, inputs a group, outputs]: each weight once a position
        return math.prod(shape) * math.prod(out[:-1]), math.prod(shape) + outputs
