"""Architectures as drawings, layer by layer, read from the models that are trained.

Networks are built as the works have them, for images of 32x32x3 and ten classes, whatever the width
at a scale; rows are read from the graph that the analysis works on.
"""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from experiments.engine.artifact import Artifact, Row, Scope
from experiments.engine.networks import Network
from experiments.engine.store import Store
from experiments.evidence.display import COLOURS, PANEL_WIDTH

IMAGE = (32, 32, 3)
CLASSES = 10
"""Of CIFAR-10."""
KINDS = ("convolution", "group convolution", "depthwise convolution", "1x1 convolution", "dense")
"""Of layers, as they are drawn; each has a colour."""
GREY = "#444444"
LINE_HEIGHT = 0.27
"""Inches of a layer's box and the space below it."""
MATRIX_WIDTH = 1.7
"""Inches of a matrix of channels."""


def layers_of(network: Network) -> list[Row]:
    """A row a layer with a kernel, in graph order.

    `number` and `layer` (its name), `kind` (one of `KINDS`), `kernel` (height and width), `stride`,
    `groups`, `inputs` and `outputs` (channels), `height` and `width` of its output, `parameters` of
    the kernel, `macs` for one image.
    """
    import keras

    from models import BUILDERS
    from tfqdyn.network.lowering import lower

    keras.backend.clear_session()
    model = BUILDERS[network.arch](IMAGE, CLASSES, **dict(network.options))
    found: list[Row] = []
    for node in lower(model):
        if not node.traits.numbered:
            continue
        height, width, inputs, outputs = node.kernel.shape
        *size, _ = (*(1, 1), *node.output_shape)[-3:]
        found.append(
            {
                "number": len(found) + 1,
                "layer": node.name,
                "kind": kind_of(node.op, (height, width), node.groups),
                "kernel": f"{height}x{width}",
                "stride": max(node.config.get("strides", (1, 1))),
                "groups": node.groups,
                "inputs": inputs * node.groups,
                "outputs": outputs,
                "height": size[0],
                "width": size[1],
                "parameters": node.kernel.size,
                "macs": node.macs,
            }
        )
    return found


def kind_of(op: str, kernel: tuple[int, int], groups: int) -> str:
    """One of `KINDS`."""
    if op == "dense":
        return "dense"
    if op == "depthwise":
        return "depthwise convolution"
    if groups > 1:
        return "group convolution"
    return "1x1 convolution" if kernel == (1, 1) else "convolution"


def rows_of(networks: Mapping[str, Network]) -> list[Row]:
    """The rows of several networks; what each is called in the figure is `network`."""
    return [{"network": name, **row} for name, of in networks.items() for row in layers_of(of)]


def columns_of(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows of each network, in order."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(str(row["network"]), []).append(row)
    return found


def drawn(rows: Sequence[Row]) -> Figure:
    """A column of boxes a network, from its first layer down to its last."""
    columns = columns_of(rows)
    most = max(map(len, columns.values()))
    figure = Figure(
        figsize=(PANEL_WIDTH * len(columns), LINE_HEIGHT * (most + 3)), layout="constrained"
    )
    for at, (network, layers) in enumerate(columns.items()):
        axes = figure.add_subplot(1, len(columns), at + 1)
        axes.set_title(network)
        axes.set(xlim=(0, 10), ylim=(-most, 0.2))
        axes.axis("off")
        for place, row in enumerate(layers):
            colour = COLOURS[KINDS.index(str(row["kind"]))]
            style = "round,pad=0,rounding_size=0.15"
            box = FancyBboxPatch(
                (0.1, -place - 0.85), 7.6, 0.75, boxstyle=style, facecolor=colour, alpha=0.25,
                edgecolor=colour,
            )  # fmt: skip
            axes.add_patch(box)
            axes.text(0.3, -place - 0.48, in_words(row), va="center", fontsize=7)
            size = f"{row['height']}x{row['width']}x{row['outputs']}"
            text = size if row["kind"] != "dense" else str(row["outputs"])
            axes.text(9.9, -place - 0.48, text, va="center", ha="right", fontsize=7, color=GREY)
    return figure


def in_words(row: Row) -> str:
    """A layer in a line: "2  3x3 depthwise, 64, stride 2"."""
    inputs, outputs = row["inputs"], row["outputs"]
    if row["kind"] == "dense":
        return f"{row['number']}  dense, {inputs} to {outputs}"
    kind = {"depthwise convolution": " depthwise", "1x1 convolution": ""}.get(str(row["kind"]), "")
    channels = f"{inputs}" if row["kind"] == "depthwise convolution" else f"{inputs} to {outputs}"
    grouped = f", {row['groups']} groups" if row["kind"] == "group convolution" else ""
    stride = f", stride {row['stride']}" if row["stride"] != 1 else ""
    return f"{row['number']}  {row['kernel']}{kind}, {channels}{grouped}{stride}"


def drawn_connections(rows: Sequence[Row]) -> Figure:
    """A square a network: which input channels (across) each output channel (down) reads."""
    columns = columns_of(rows)
    figure = Figure(figsize=(MATRIX_WIDTH * len(columns), MATRIX_WIDTH + 0.6), layout="constrained")
    for at, (network, layers) in enumerate(columns.items()):
        (row,) = layers
        axes = figure.add_subplot(1, len(columns), at + 1)
        groups, inputs, outputs = (int(row[name] or 0) for name in ("groups", "inputs", "outputs"))
        read = [
            [i * groups // inputs == o * groups // outputs for i in range(inputs)]
            for o in range(outputs)
        ]
        axes.imshow(read, cmap="Blues", vmin=0, vmax=1.3, interpolation="nearest")
        axes.set_title(f"{network}\n{groups} group{'s' if groups > 1 else ''}", fontsize=8)
        axes.set(xticks=[], yticks=[])
        if at == 0:
            axes.set_ylabel("output channels", fontsize=8)
        axes.set_xlabel("input channels", fontsize=8)
    return figure


def drawn_groups(rows: Sequence[Row]) -> Figure:
    """Groups, and channels of a group, of every block's convolution; a line a network."""
    figure = Figure(figsize=(2 * PANEL_WIDTH, 2.4), layout="constrained")
    columns = columns_of(rows)
    blocks = range(1, max(map(len, columns.values())) + 1)
    for at, title in enumerate(("groups", "channels of a group")):
        axes = figure.add_subplot(1, 2, at + 1)
        for place, (network, layers) in enumerate(columns.items()):
            groups = [int(row["groups"] or 0) for row in layers]
            channels = [int(row["inputs"] or 0) for row in layers]
            counts = [c // g for c, g in zip(channels, groups)] if at else groups
            axes.plot(blocks, counts, marker="o", color=COLOURS[place], label=network)
        axes.set_yscale("log", base=2)
        axes.yaxis.set_major_formatter("{x:g}")
        axes.set_xticks(blocks)
        axes.set(xlabel="block", ylabel=title)
        axes.grid(alpha=0.3)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside right center")
    return figure


def artifact(
    name: str,
    source: str,
    title: str,
    networks: Mapping[str, Network],
    published: str,
) -> Artifact:
    """Architectures side by side."""

    def rows(scope: Scope, store: Store) -> Sequence[Row]:
        return rows_of(networks)

    return Artifact(
        name, source, title, lambda scope: [], rows, drawn, printed=False, published=published
    )
