"""One of the two files: its inputs and outputs, and how many samples it takes at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tfqdyn.datasets import DataError
from tfqdyn.filepair.flow import Flow
from tfqdyn.tflite.file import Tensor, TfliteFileError, parse
from tfqdyn.tflite.interpreter import DEPLOYED, RESOLVER
from tfqdyn.tflite.probing import Shapes, probe
from tfqdyn.tflite.signatures import Signature, free_axes, signatures


@dataclass(frozen=True, eq=False)
class Port:
    """An input or output of a file.

    Attributes:
        name: by the file's signature, or else the tensor's.
        tensor: what holds it.
        shape: as the file tells it, the batch axis included.
        free: its axes that may take any size.
    """

    name: str
    tensor: int
    shape: tuple[int, ...]
    free: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Side:
    """A file that is to run.

    Attributes:
        which: "float" or "quantized", for messages.
        content, flow: the file, and the same as a graph.
        inputs, outputs: in the order of the other file's.
        fixed: how many samples it runs at once, and no other number; None for any number.
        shapes: of every tensor that can be read, for `fixed` samples (for 1 where that is None).
        whole: whether the inputs have no batch axis: all of one is one sample.
        resolver: whose kernels run it.
    """

    which: str
    content: bytes
    flow: Flow
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    signatures: tuple[Signature, ...] = ()
    fixed: int | None = None
    shapes: Shapes | None = None
    whole: bool = False
    resolver: str = RESOLVER

    def tensor(self, index: int) -> Tensor:
        """A tensor of the file."""
        return self.flow.model.tensors[index]

    def sample_shape(self, value: int) -> tuple[int, ...]:
        """The shape of one sample's part of a value."""
        assert self.shapes is not None, "`tried` says the shapes"
        shape = self.shapes[value]
        if self.whole:
            return shape
        if (self.fixed or 1) > 1:
            return shape[1:]
        return shape[1:] if shape[:1] == (1,) else shape


def opened(which: str, content: bytes) -> Side:
    """Reads a file.

    Raises:
        TfliteFileError: it is damaged, or has operators that are not TFLite's own.
    """
    try:
        flow = Flow(parse(content, several=True))
        told = signatures(content)
        mine = next((s for s in told if s.subgraph == 0), None)
        inputs = _ports(content, flow, flow.model.inputs, mine.inputs if mine else {})
        outputs = _ports(content, flow, flow.model.outputs, mine.outputs if mine else {})
    except TfliteFileError as error:
        raise TfliteFileError(f"the {which} file: {error}") from error
    return Side(which, content, flow, inputs, outputs, told, resolver=_resolver(flow))


def _resolver(flow: Flow) -> str:
    """XNNPACK for a file that has floats alone, as its values are the same but for the last bits.

    Files with codes run on the pinned kernels: XNNPACK rounds some codes to the neighbour.
    """
    return RESOLVER if any(t.params is not None for t in flow.model.tensors) else DEPLOYED


def _ports(
    content: bytes, flow: Flow, tensors: Sequence[int], told: Mapping[str, int]
) -> tuple[Port, ...]:
    names = {tensor: name for name, tensor in told.items()}
    found = []
    for tensor in dict.fromkeys(tensors):
        held = flow.model.tensors[tensor]
        found.append(
            Port(names.get(tensor, held.name), tensor, held.shape, free_axes(content, tensor))
        )
    return tuple(found)


def aligned(reference: Side, quantized: Side) -> Side:
    """The quantized file with its inputs in the float file's order: by signature, else by place.

    Raises:
        TfliteFileError: they do not have the same inputs, or one quantizes what the other has
            as integers.
    """
    return replace(quantized, inputs=_aligned(reference.inputs, quantized.inputs, "inputs"))


def _aligned(ours: Sequence[Port], theirs: Sequence[Port], what: str) -> tuple[Port, ...]:
    by_name = {port.name: port for port in theirs}
    if {port.name for port in ours} == set(by_name):
        theirs = [by_name[port.name] for port in ours]
    first, second = ([tuple(port.shape[1:]) for port in ports] for ports in (ours, theirs))
    free = [bool(set(a.free + b.free) - {0}) for a, b in zip(ours, theirs)]
    if len(first) != len(second) or any(
        a != b and not any_size for a, b, any_size in zip(first, second, free)
    ):
        raise TfliteFileError(
            f"the two files are not of one network: their {what} differ; the float file has "
            f"{_shown(ours)}, the quantized one {_shown(theirs)}"
        )
    return tuple(theirs)


def _shown(ports: Sequence[Port]) -> str:
    return ", ".join(f"{port.name} {port.shape}" for port in ports)


def fitted_to(side: Side, shapes: Mapping[str, tuple[int, ...]]) -> Side:
    """The file with its free axes as large as the data; `shapes` of samples by input's name."""
    found = []
    for port in side.inputs:
        data = shapes.get(port.name, port.shape[1:])
        shape = list(port.shape)
        if len(data) == len(shape) - 1:
            for axis in set(port.free) - {0}:
                shape[axis] = data[axis - 1]
        found.append(replace(port, shape=tuple(shape)))
    return replace(side, inputs=tuple(found))


def tried(side: Side, values: Sequence[int], at_once: int) -> Side:
    """The file after a run in a process of its own, with how many samples it takes at once.

    Any number, if its inputs say so and every value that is asked for then has that many times the
    samples along its first axis; else its own number.

    Args:
        side: what to run.
        values: the tensors that will be read.
        at_once: the number of samples that is tried.

    Raises:
        TfliteFileError: the interpreter refuses the file, or crashes.
        DataError: of several inputs one has another number of samples than the rest.
    """
    own = {port.tensor: port.shape for port in side.inputs}
    several = {t: (at_once, *shape[1:]) for t, shape in own.items()}
    free = all(0 in port.free for port in side.inputs) and at_once > 1
    if free:
        own = {t: (1, *shape[1:]) for t, shape in own.items()}
    try:
        first, *more = probe(side.content, [own, several] if free else [own], side.resolver)
    except TfliteFileError as error:
        raise TfliteFileError(f"the {side.which} file: {error}") from error
    assert first is not None, "a refused first run is an error"
    if more and more[0] is not None:
        larger = more[0]
        read = [v for v in values if v in first]
        if all(first[v][:1] == (1,) and larger.get(v) == (at_once, *first[v][1:]) for v in read):
            return replace(side, fixed=None, shapes=first)
    if side.whole:
        return replace(side, fixed=1, shapes=first)
    sizes = {shape[0] if shape else 1 for shape in own.values()}
    if len(sizes) > 1 and not sizes <= {1}:
        raise DataError(
            f"the {side.which} file takes inputs of {_shown(side.inputs)}: their first axes differ,"
            " so that they cannot be samples"
        )
    return replace(side, fixed=sizes.pop(), shapes=first)


def image_size(content: bytes) -> tuple[int, int] | None:
    """(height, width) of the images that a file's only input takes; None where it is no image.

    Raises:
        TfliteFileError: the file is damaged.
    """
    ports = opened("float", content).inputs
    if len(ports) != 1 or len(ports[0].shape) != 4 or set(ports[0].free) - {0}:
        return None
    return ports[0].shape[1], ports[0].shape[2]
