"""One file, the same codes, several engines: what differs where, and whose doing it is.

In every chunk of images each engine runs the whole file twice, as applications do (outputs alone)
and with every tensor kept, and every operator alone from what the base engine's operator read. An
operator whose output differs in the run of the whole file has done that itself if it differs alone,
too.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import tfqdyn
from tfqdyn.console import Progress, silent
from tfqdyn.engines import calls
from tfqdyn.engines.calls import CutOperator, RefusedError, Values
from tfqdyn.engines.catalogue import ENGINES
from tfqdyn.engines.cutting import Cutter, fed, fixed, weights_inside
from tfqdyn.engines.dumps import Dump, as_codes
from tfqdyn.engines.feeding import Feed
from tfqdyn.engines.tally import Tally, engine_record
from tfqdyn.results.kernelrecords import EngineRecord, KernelsRecord, OpRecord
from tfqdyn.tflite.file import TfliteFileError, TfliteModel, parse

CHUNK_BYTES = 48 * 2**20
"""What the tensors of the samples of one chunk may take."""
MOST_SAMPLES = 64


@dataclass(frozen=True, eq=False)
class Subject:
    """What is compared.

    Attributes:
        file: the file's name.
        content: the file.
        data: the data set's name.
        feed: the images, as the file's inputs.
        labels: of the images [N]; None where there are none.
    """

    file: str
    content: bytes
    data: str
    feed: Feed
    labels: NDArray[np.int64] | None = None


def compare(
    subject: Subject,
    engines: Sequence[str],
    dumps: Sequence[Dump] = (),
    runs: int = 0,
    progress: Progress = silent,
) -> KernelsRecord:
    """Compares engines and dumps with the first engine that runs the file.

    Args:
        subject: what is compared.
        engines: names of `catalogue.ENGINES`.
        dumps: of devices, of the same images.
        runs: how many runs a latency is the median of, at most; 0 measures none.
        progress: wraps the loop over chunks.

    Raises:
        TfliteFileError: the file is damaged, or no engine runs it; the text says what each said.
        ValueError: unknown engines, the same one twice, or none.
    """
    unknown = sorted(set(engines) - set(ENGINES))
    if unknown or not engines or len(set(engines)) < len(engines):
        raise ValueError(f"engines must be different ones of {list(ENGINES)}, received {engines}")
    model = parse(subject.content)
    refused: dict[str, str] = {}
    for base in engines:
        try:
            return _Comparison(subject, model, base, engines, dumps, refused).run(runs, progress)
        except _BaseRefusedError as error:
            refused[base] = str(error)
    said = "; ".join(f"{name}: {text}" for name, text in refused.items())
    raise TfliteFileError(f"no engine runs the file: {said}")


class _BaseRefusedError(ValueError):
    """What the others are to be held against does not run the file."""


class _Comparison:
    """The running state of `compare` with one base."""

    def __init__(
        self,
        subject: Subject,
        model: TfliteModel,
        base: str,
        engines: Sequence[str],
        dumps: Sequence[Dump],
        refused: Mapping[str, str],
    ) -> None:
        self._subject, self._model, self._base = subject, model, base
        self._cut: Sequence[CutOperator] = ()
        self._fixed = fixed(model)
        made = [t for operator in model.operators for t in operator.outputs]
        self._made = [t for t in made if t not in self._fixed]
        self._inside = weights_inside(subject.content)
        self._tallies = {name: Tally(model, refused.get(name)) for name in engines}
        self._dumps = [(dump, Tally(model, None)) for dump in dumps]

    def run(self, runs: int, progress: Progress) -> KernelsRecord:
        """Compares on all samples."""
        feed, size = self._subject.feed, self._chunk()
        starts = range(0, len(feed), size)
        for start in progress(starts, "compare engines", len(starts)):
            self._add(start, feed.runs(start, start + size), 0 if start else runs)
        return self._record()

    def _chunk(self) -> int:
        tensors = self._model.tensors
        values = sum(
            int(np.prod(tensors[t].shape)) * _BYTES.get(tensors[t].dtype, 4) for t in self._made
        )
        return max(1, min(MOST_SAMPLES, CHUNK_BYTES // max(1, values)))

    def _add(self, start: int, inputs: Sequence[Sequence[NDArray]], runs: int) -> None:
        base = self._tallies[self._base]
        kept = self._whole(self._base, inputs)
        if kept is None:
            raise _BaseRefusedError(base.refused)
        with_inputs = self._with_inputs(kept, inputs)
        if not start:
            self._cut = self._operators(inputs, with_inputs[0])
        for name, tally in self._tallies.items():
            chained = kept if name == self._base else self._whole(name, inputs)
            deployed = self._deployed(name, inputs, runs)
            if chained is not None and deployed is not None:
                tally.add_whole(kept, chained, deployed)
            operators = [o for o in self._cut if o.index not in tally.refused_operators]
            tally.add_alone(kept, calls.alone(name, operators, with_inputs, runs))
        for dump, tally in self._dumps:
            found = dump.values(start, start + len(inputs))
            if found:
                self._add_dump(tally, found, with_inputs)

    def _operators(
        self, inputs: Sequence[Sequence[NDArray]], sample: Mapping[int, NDArray]
    ) -> list[CutOperator]:
        """The operators that compute of the file's inputs, each as a file of its own."""
        model, content = self._model, self._subject.content
        weights = [t for o in model.operators for t in o.outputs if t in self._fixed]
        given = self._content(self._base)
        made = calls.whole(self._base, given, inputs[:1], weights, True).values[0]
        cutter = Cutter(content, model, made)
        shapes = {t: values.shape for t, values in sample.items()}
        return [
            CutOperator(o.index, cutter.alone(o.index, shapes), fed(o, self._fixed), o.outputs)
            for o in model.operators
            if not self._fixed.issuperset(o.outputs)
        ]

    def _whole(self, name: str, inputs: Sequence[Sequence[NDArray]]) -> Values | None:
        """What an engine computes with every tensor kept; None if it refuses."""
        tally = self._tallies[name]
        if tally.refused is not None:
            return None
        try:
            return calls.whole(name, self._content(name), inputs, self._made, True).values
        except RefusedError as error:
            tally.refused = str(error)
            return None

    def _content(self, name: str) -> bytes:
        """The file as an engine can read it."""
        if ENGINES[name].reads_outside or self._inside is None:
            return self._subject.content
        return self._inside

    def _deployed(self, name: str, inputs: Sequence[Sequence[NDArray]], runs: int) -> Values | None:
        """The outputs as applications get them; None if the engine refuses."""
        tally = self._tallies[name]
        if tally.refused is not None:
            return None
        outputs = self._model.outputs
        try:
            found = calls.whole(name, self._content(name), inputs, outputs, False, runs)
        except RefusedError as error:
            tally.refused = str(error)
            return None
        tally.take_costs(found)
        return found.values

    def _with_inputs(self, values: Values, inputs: Sequence[Sequence[NDArray]]) -> Values:
        given = [dict(zip(self._model.inputs, sample, strict=True)) for sample in inputs]
        return [{**a, **b} for a, b in zip(values, given, strict=True)]

    def _add_dump(self, tally: Tally, found: Values, base: Values) -> None:
        """A dump's tensors; its operators are held against the base's, fed with the dump's."""
        base = base[: len(found)]
        tally.add_dump(base, found)
        tensors = self._model.tensors
        # what the dump leaves out of the file's inputs is taken to be what the engines read
        known = [
            {i: b[i] for i in self._model.inputs}
            | {t: as_codes(a, tensors[t]) for t, a in sample.items()}
            for sample, b in zip(found, base, strict=True)
        ]
        operators = [
            o for o in self._cut if set(o.reads) <= set(known[0]) and set(o.makes) <= set(found[0])
        ]
        tally.add_alone_of_dump(found, calls.alone(self._base, operators, known))

    def _moved(self) -> tuple[str, ...]:
        """A remark where an engine ran a copy of the file, lest it run without weights."""
        blind = [name for name in self._tallies if not ENGINES[name].reads_outside]
        if self._inside is None or not blind:
            return ()
        return (
            f"The file keeps weights behind its flatbuffer, where {', '.join(blind)} does not "
            "look: it would compute without them, and say nothing. It ran a copy with the weights "
            "inside.",
        )

    def _record(self) -> KernelsRecord:
        subject, model = self._subject, self._model
        labels, images = subject.labels, len(subject.feed.indices)
        records: list[EngineRecord] = []
        for name, tally in self._tallies.items():
            engine = ENGINES[name]
            try:
                version = engine.version()
            except TfliteFileError:
                version = ""
            blank = EngineRecord(name, engine.words, version)
            records.append(engine_record(blank, tally, model, images, labels))
        for dump, tally in self._dumps:
            blank = EngineRecord(dump.name, f"dump {dump.name}", dump.device)
            records.append(engine_record(blank, tally, model, images, labels))
        base = self._tallies[self._base]
        return KernelsRecord(
            file=subject.file,
            sha256=hashlib.sha256(subject.content).hexdigest(),
            data=subject.data,
            images=images,
            base=self._base,
            operators=tuple(
                OpRecord(o.index, o.kind, t.name, t.shape, t.dtype)
                for o in model.operators
                for t in [model.tensors[o.outputs[0]]]
            ),
            engines=tuple(records),
            notes=(*base.unfaithful(), *self._moved()),
            versions={"tfqdyn": tfqdyn.__version__, "numpy": np.__version__},
        )


_BYTES = {"uint8": 1, "int8": 1, "bool": 1, "int16": 2, "float16": 2, "int64": 8}
