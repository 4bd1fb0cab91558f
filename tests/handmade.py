"""Rows of the layer table, made by hand."""

from tfqdyn.results import ActivationRow, ChannelRow, LayerResult, Spread, WeightRow


def spread(mean: float, std: float | None = 0.0) -> Spread:
    return Spread(mean, std, (mean,))


def layer(number: int | None, qmse: Spread, kernel: bool = True) -> LayerResult:
    same = spread(1.0)
    weights = WeightRow(2.0, 0.5, 0.0, 0.0, 0.0) if kernel else None
    ranges = (0.5, 2.0) if kernel else None
    return LayerResult(
        number, f"layer_{number}", "conv", (4, 4, 2), ("images",), 10, 10, weights, weights,
        ActivationRow(same, same), qmse, same, same, same, spread(30.0), same, same, same, 1.0, 0.0,
        0.0, same, ((1.0, 0),), ChannelRow(ranges, ranges, ranges, (1.0, 1.0), (1.0, 1.0), (9.0,)),
    )  # fmt: skip
