"""Which rows of an int8 file have one quantization together, and on which range."""

from collections.abc import Mapping

from tfqdyn.network.graph import Graph


def with_shared(
    graph: Graph, ranges: Mapping[str, tuple[float, float]]
) -> dict[str, tuple[float, float]]:
    """The ranges, where ops that share one quantization with what they read have one for all.

    It spans the calibrated ranges of all of them. TensorFlow's converter unites them too.
    """
    found = dict(ranges)
    group: dict[str, set[str]] = {name: {name} for name in ranges}
    for row in graph.rows:
        op = graph.by_name[row.name].traits
        tied = row.producers if op.shares else row.producers[:1] if op.inherits else ()
        united = set().union(group[row.name], *(group[name] for name in tied))
        group.update(dict.fromkeys(united, united))
    for row in graph.rows:
        if graph.by_name[row.name].traits.shares:
            lows, highs = zip(*(ranges[name] for name in group[row.name]), strict=True)
            found.update(dict.fromkeys(group[row.name], (min(lows), max(highs))))
    return found
