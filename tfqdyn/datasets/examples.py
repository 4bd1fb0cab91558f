"""`tf.train.Example` messages in TFRecord files, as ImageNet's are kept; TensorFlow is not loaded.

Conventions
    A TFRecord file is a sequence of records: length (uint64, little-endian), masked CRC-32C of the
    length, data, masked CRC-32C of the data. All are checked when the file is opened, in one pass;
    data are read again when samples are indexed.

References
    TFRecord: https://www.tensorflow.org/tutorials/load_data/tfrecord
    `Example`: tensorflow/core/example/example.proto and feature.proto.
    CRC-32C (Castagnoli): RFC 3720, appendix B.4; reversed polynomial 0x82F63B78.
"""

import functools
import mmap
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfqdyn.datasets.samples import RecordSamples
from tfqdyn.files.imagefiles import DataError
from tfqdyn.numerics.compilation import EXACT, compiled

INPUTS = ("image/encoded", "image", "image_raw", "x", "input")
"""Features that samples are looked for in, in this order."""
LABELS = ("image/class/label", "label", "labels", "class", "y")
"""The same for labels."""
_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")


@dataclass(frozen=True)
class Records:
    """The records of one file that was checked.

    Attributes:
        path: the file.
        places: of every record its first byte and its length, [N, 2].
        inputs: name of the feature with the samples.
        labels: class numbers [N], as they are stored; None where there are none.
        label: name of their feature; "" without.
    """

    path: Path
    places: NDArray[np.int64]
    inputs: str
    labels: NDArray[np.int64] | None
    label: str


class ExampleSamples(RecordSamples):
    """The samples of one file.

    Args:
        records: of the file.
        size: (height, width) that photographs are cropped and resized to.

    Raises:
        DataError: see `RecordSamples`.
    """

    UNIT = "record"

    def __init__(self, records: Records, size: tuple[int, int] | None) -> None:
        self._records = records
        super().__init__(records.path, size, len(records.places))

    @property
    def label(self) -> str:
        """The name of the labels' feature; "" without."""
        return self._records.label

    def value(self, position: int) -> bytes | NDArray:
        """The feature with the sample."""
        start, length = map(int, self._records.places[position])
        with self._path.open("rb") as stream:
            stream.seek(start)
            data = stream.read(length)
        feature = _features(data, self.name_of(position))[self._records.inputs]
        kind = feature.WhichOneof("kind")
        if kind == "bytes_list":
            return feature.bytes_list.value[0]
        return np.array(getattr(feature, kind).value, np.float32)


def read_records(path: Path) -> Records:
    """Checks a file and finds its samples and labels.

    Raises:
        DataError: it is empty, cut off or damaged, or has no feature of `INPUTS`.
    """
    places, labels, inputs, key = [], [], None, None
    for start, data in _records(path):
        name = f"record {len(places)} of {path}"
        features = _features(data, name)
        inputs = inputs or _named(INPUTS, features)
        if inputs is None or not _filled(features, inputs):
            raise DataError(
                f"{name} should hold its sample as one of {', '.join(INPUTS)}; its features are "
                f"{', '.join(sorted(features)) or 'none'}"
            )
        key = key or _named(LABELS, features)
        labels.append(_label(features, key, name))
        places.append((start, len(data)))
    if inputs is None:
        raise DataError(f"{path} holds no records")
    told = [label for label in labels if label is not None]
    if told and len(told) < len(labels):
        raise DataError(f"{path}: {len(told)} of {len(labels)} records have a label")
    found = np.array(told, np.int64) if told else None
    return Records(path, np.array(places, np.int64), inputs, found, key or "")


def _named(names: Sequence[str], features: Any) -> str | None:
    return next((name for name in names if name in features), None)


def _filled(features: Any, name: str) -> bool:
    if name not in features:
        return False
    kind = features[name].WhichOneof("kind")
    return kind is not None and len(getattr(features[name], kind).value) > 0


def _label(features: Any, key: str | None, name: str) -> int | None:
    if key is None or key not in features:
        return None
    values = features[key].int64_list.value
    if len(values) != 1:
        raise DataError(f"{key} of {name} should be one whole number, it holds {len(values)}")
    return int(values[0])


def _records(path: Path) -> Iterator[tuple[int, bytes]]:
    """First byte and data of every record."""
    size = path.stat().st_size
    if not size:
        raise DataError(f"{path} holds no records")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        at = number = 0
        while at < size:
            name = f"record {number} of {path}"
            if at + _HEADER.size > size:
                raise DataError(f"{name} is cut off: the file ends at byte {size:,}")
            length, told = _HEADER.unpack_from(content, at)
            if masked_crc(content[at : at + 8]) != told:
                raise DataError(
                    f"{name} is damaged, or the file is no TFRecord file (compressed ones are not "
                    "read): the checksum of its length does not fit"
                )
            start = at + _HEADER.size
            end = start + length
            if end + _FOOTER.size > size:
                raise DataError(f"{name} is cut off: the file ends at byte {size:,}")
            data = content[start:end]
            if masked_crc(data) != _FOOTER.unpack_from(content, end)[0]:
                raise DataError(f"{name} is damaged: its checksum does not fit")
            yield start, data
            at, number = end + _FOOTER.size, number + 1


def _features(data: bytes, name: str) -> Any:
    """The features of an `Example`, by name."""
    from google.protobuf.message import DecodeError

    try:
        return _example().FromString(data).features.feature
    except DecodeError as error:
        raise DataError(f"{name} is no tf.train.Example: {error}") from error


@functools.cache
def _example() -> Any:
    """The message `Example`, described here, so that TensorFlow need not be loaded."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="tfqdyn/example.proto", package="tfqdyn.example", syntax="proto3"
    )

    def message(parent: Any, name: str) -> Any:
        made = parent.add()
        made.name = name
        return made

    def member(of: Any, name: str, number: int, kind: int, many: bool, **more: Any) -> None:
        label = field.LABEL_REPEATED if many else field.LABEL_OPTIONAL
        of.field.add(name=name, number=number, type=kind, label=label, **more)

    for name, kind in (
        ("BytesList", field.TYPE_BYTES),
        ("FloatList", field.TYPE_FLOAT),
        ("Int64List", field.TYPE_INT64),
    ):
        member(message(file.message_type, name), "value", 1, kind, many=True)
    feature = message(file.message_type, "Feature")
    feature.oneof_decl.add(name="kind")
    for number, name in enumerate(("bytes_list", "float_list", "int64_list"), start=1):
        kind = f".tfqdyn.example.{name.title().replace('_', '')}"
        member(feature, name, number, field.TYPE_MESSAGE, many=False, type_name=kind, oneof_index=0)
    features = message(file.message_type, "Features")
    entry = message(features.nested_type, "FeatureEntry")
    entry.options.map_entry = True
    member(entry, "key", 1, field.TYPE_STRING, many=False)
    of_kind = ".tfqdyn.example.Feature"
    member(entry, "value", 2, field.TYPE_MESSAGE, many=False, type_name=of_kind)
    entries = ".tfqdyn.example.Features.FeatureEntry"
    member(features, "feature", 1, field.TYPE_MESSAGE, many=True, type_name=entries)
    example = message(file.message_type, "Example")
    member(
        example, "features", 1, field.TYPE_MESSAGE, many=False,
        type_name=".tfqdyn.example.Features",
    )  # fmt: skip
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = pool.FindMessageTypeByName("tfqdyn.example.Example")
    return message_factory.GetMessageClass(found)


def masked_crc(data: bytes) -> int:
    """CRC-32C of bytes, turned by 15 bits and shifted, as TFRecord files keep it."""
    crc = int(_crc(np.frombuffer(data, np.uint8), _TABLE))
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _table() -> NDArray[np.uint32]:
    found = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        found = np.where(found & 1, found >> 1 ^ np.uint32(0x82F63B78), found >> 1)
    return found.astype(np.uint32)


_TABLE = _table()


@compiled(**EXACT)
def _crc(data, table):  # data [N] uint8, table [256] uint32
    crc = np.uint32(0xFFFFFFFF)
    for byte in data:
        crc = table[(crc ^ byte) & np.uint32(0xFF)] ^ (crc >> np.uint32(8))
    return crc ^ np.uint32(0xFFFFFFFF)
