"""Descriptions of models that do harm where their reader makes objects of what they name.

Each is armed: where it works, it leaves a file in a folder that the runner looks into.
"""

import base64
import marshal
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

Entry = dict[str, Any]
KERAS = {"module": "keras.layers", "registered_name": None}


def code(trap: Path) -> str:
    """A function that makes a folder in the trap, as Keras stores lambdas."""
    function: Any = eval(f"lambda x: __import__('os').mkdir({str(trap / 'lambda')!r}) or x")
    return base64.b64encode(marshal.dumps(function.__code__)).decode()


class _Pickled:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.mkdir, (str(self._path),)


def entry(kind: str, config: Any = None, **more: Any) -> Entry:
    """A layer's entry; without a module, as Keras 2 and `.h5` files have it."""
    config = {"name": "e", **config} if isinstance(config, dict) else config or {"name": "e"}
    return {"class_name": kind, "config": config, **more}


def function(name: str, module: str) -> Entry:
    """A function as Keras 3 names it."""
    return {"class_name": "function", "config": name, "module": module, "registered_name": name}


def values(trap: Path) -> dict[str, Entry]:
    """What may stand in the place of any argument: an activation, an initializer, a number."""
    lambda_ = {"class_name": "__lambda__", "config": {"code": code(trap), "defaults": None}}
    found = {
        "lambda": {**lambda_, "config": {**lambda_["config"], "closure": None}},
        "layer": entry("Lambda", {"function": [code(trap), None, None]}, **KERAS),
        "pickle": {"class_name": "__bytes__", "config": {"value": _pickle(trap)}},
        "type spec": {"class_name": "__typespec__", "spec_name": "x", "module": "os", "config": []},
        "class": {"class_name": "class", "config": "Popen", "module": "subprocess"},
        "array": {"class_name": "__numpy__", "config": {"value": ["x"], "dtype": "O"}},
        "super": {"class_name": "__super_type__", "config": {}},
    }
    for name, module in (
        ("get_file", "keras.utils"), ("get_file", "keras.src.utils.file_utils"),
        ("urlretrieve", "urllib.request"), ("urlretrieve", "keras.src.utils.file_utils"),
        ("eval", "builtins"), ("exec", "builtins"), ("open", "builtins"),
        ("__import__", "builtins"),
        ("system", "os"), ("mkdir", "os"), ("run", "subprocess"), ("load", "numpy"),
        ("load_model", "keras.saving"), ("load_library", "tensorflow"), ("copy", "shutil"),
        ("enable_unsafe_deserialization", "keras.config"),
        ("func_load", "keras.src.utils.python_utils"),
        ("extract_archive", "keras.src.utils.file_utils"), ("write_file", "tensorflow.io"),
    ):  # fmt: skip
        found[f"{module}.{name}"] = function(name, module)
    return found


def _pickle(trap: Path) -> str:
    return base64.b64encode(pickle.dumps(_Pickled(trap / "pickled"))).decode()


def layers(trap: Path, secret: Path) -> dict[str, Entry]:
    """Layers that run code, or read or write files, while they are made or called."""
    bait = str(secret)
    wrapped = entry("Lambda", {"function": [code(trap), None, None], "function_type": "lambda"})
    return {
        "Lambda": wrapped,
        "Lambda of Keras 3": entry("Lambda", {"function": values(trap)["lambda"]}, **KERAS),
        "Lambda without a module": {**wrapped, "module": None},
        "Lambda of tf_keras": {**wrapped, "module": "tf_keras.layers"},
        "Lambda of another name": {**wrapped, "registered_name": "Custom>Dense"},
        "TimeDistributed": entry("TimeDistributed", {"layer": wrapped}, **KERAS),
        "Bidirectional": entry("Bidirectional", {"layer": wrapped}, **KERAS),
        "SpectralNormalization": entry("SpectralNormalization", {"layer": wrapped}, **KERAS),
        "RNN": entry("RNN", {"cell": wrapped}, **KERAS),
        "Pipeline": entry("Pipeline", {"layers": [wrapped]}, **KERAS),
        "Sequential": {**entry("Sequential", {"name": "e", "layers": [wrapped]}), "name": "e"},
        "get_file": entry(
            "get_file", {"fname": "got", "origin": f"file://{bait}", "cache_dir": str(trap)},
            module="keras.utils",
        ),
        "urlretrieve": entry(
            "urlretrieve", {"url": f"file://{bait}", "filename": str(trap / "got")},
            module="urllib.request",
        ),
        "Popen": entry("Popen", {"args": ["touch", str(trap / "popen")]}, module="subprocess"),
        "mkdir": entry("mkdir", {"path": str(trap / "mkdir")}, module="os"),
        "eval": entry("eval", {"source": "1"}, module="builtins"),
        "open": entry("open", {"file": str(trap / "open"), "mode": "w"}, module="builtins"),
        "TFSMLayer": entry("TFSMLayer", {"filepath": bait}, **KERAS),
        "TorchModuleWrapper": entry("TorchModuleWrapper", {"module": _pickle(trap)}, **KERAS),
        "JaxLayer": entry("JaxLayer", {"call_fn": function("system", "os")}, **KERAS),
        "FlaxLayer": entry("FlaxLayer", {"module": _pickle(trap)}, **KERAS),
        "StringLookup": entry("StringLookup", {"vocabulary": bait}, **KERAS),
        "IntegerLookup": entry("IntegerLookup", {"vocabulary": bait}, **KERAS),
        "TextVectorization": entry("TextVectorization", {"vocabulary": bait}, **KERAS),
        "StringLookup of Keras 2": entry("StringLookup", {"vocabulary": bait}),
        "Hashing": entry("Hashing", {"num_bins": 9}, **KERAS),
        "HashedCrossing": entry("HashedCrossing", {"num_bins": 9}, **KERAS),
        "Discretization": entry("Discretization", {"bin_boundaries": [1.0]}, **KERAS),
        "SlicingOpLambda": entry("SlicingOpLambda", {"function": "__operators__.getitem"}),
        "ClassMethod": entry("ClassMethod", {"cls_symbol": "io", "method_name": "write_file"}),
        "InstanceMethod": entry("InstanceMethod", {"method_name": "__reduce__"}),
        "InstanceProperty": entry("InstanceProperty", {"attr_name": "__class__"}),
        "registered": entry("x>Dense", {"units": 3}),
        "a module below layers": entry("system", module="keras.layers.os"),
        "a module after layers": entry("Lambda", module="keras.src.layers.core.lambda_layer"),
        "optimizer": entry("SGD", module="keras.optimizers"),
        "initializer": entry("Identity", module="keras.initializers"),
        "model": entry("load_model", {"filepath": bait}, module="keras.saving"),
    }  # fmt: skip


def holders(value: Entry) -> list[Entry]:
    """Layers with a value in the place of an argument."""
    return [
        entry("Rescaling", {"scale": value}, **KERAS),
        entry("Rescaling", {"scale": 1.0, "offset": value}, **KERAS),
        entry("Dense", {"units": 3, "activation": value}, **KERAS),
        entry("Dense", {"units": value}, **KERAS),
        entry("Dense", {"units": 3, "kernel_initializer": value}, **KERAS),
        entry("Dense", {"units": 3, "dtype": value}, **KERAS),
        entry("Activation", {"activation": value}, **KERAS),
        entry("ReLU", {"max_value": value}, **KERAS),
        {**entry("Flatten", {"name": "e"}, **KERAS), "build_config": value},
        {**entry("Dense", {"units": 3}), "module": value},
        {**entry("Dense", {"units": 3}), "registered_name": value},
    ]


def functions_of_tensorflow() -> list[str]:
    """Every public name of `tf.io`, and of all else that takes code, files or libraries."""
    import tensorflow as tf

    names = [f"io.{name}" for name in dir(tf.io) if name[0] != "_"]
    names += [f"io.gfile.{name}" for name in dir(tf.io.gfile) if name[0] != "_"]
    names += [f"raw_ops.{name}" for name in dir(tf.raw_ops) if "File" in name or "Py" in name]
    return [
        *names, "py_function", "numpy_function", "py_func", "compat.v1.py_func", "load_library",
        "load_op_library", "saved_model.load", "saved_model.save", "keras.utils.get_file",
        "data.Dataset.save", "print", "debugging.enable_dump_debug_info",
        "profiler.experimental.start", "summary.create_file_writer", "autograph.to_code",
        "map_fn", "while_loop", "cond", "eval", "__builtins__.eval", "os.system",
        "compat.v1.app.run", "__operators__.getitem", "",
    ]  # fmt: skip


def op_lambda(name: str, trap: Path, constant: bool) -> tuple[Entry, Any]:
    """TFOpLambda of a function, and how it is called: on a constant path, or on a tensor."""
    made = entry("TFOpLambda", {"function": name})
    target = str(trap / "written")
    if constant:
        return made, [["_CONSTANT_VALUE", -1, target, {"contents": "x"}]]
    return made, [["i", 0, 0, {"filename": target, "contents": "x", "y": 2.0}]]


def sequential(made: Entry) -> Entry:
    """A sequential model of an input and an entry."""
    first = entry("InputLayer", {"name": "i", "batch_shape": [None, 8, 8, 3]}, **KERAS)
    return {"class_name": "Sequential", "config": {"name": "m", "layers": [first, made]}, **KERAS}


def functional(made: Entry, node: Any = None) -> Entry:
    """A functional model of an input and an entry that is called on it, in Keras 2's form."""
    first = entry("InputLayer", {"name": "i", "batch_input_shape": [None, 8, 8, 3]})
    called = [[["i", 0, 0, {}]]] if node is None else node
    listed = [
        {**first, "name": "i", "inbound_nodes": []}, {"name": "e", "inbound_nodes": called, **made}
    ]  # fmt: skip
    ends = {"input_layers": [["i", 0, 0]], "output_layers": [["e", 0, 0]]}
    return {"class_name": "Functional", "config": {"name": "m", "layers": listed, **ends}}


def functional_3(made: Entry) -> Entry:
    """The same in Keras 3's form."""
    tensor = {"class_name": "__keras_tensor__", "config": {"keras_history": ["i", 0, 0]}}
    model = functional(made, [{"args": [tensor], "kwargs": {}}])
    return {**model, "module": "keras", "registered_name": None}


def nested(made: Entry) -> Entry:
    """A functional model that holds a sequential one."""
    return functional({**sequential(made), "name": "e"})


def top(made: Entry) -> Entry:
    """The entry in the place of the model."""
    return made


def beside(made: Entry) -> Entry:
    """A sound model that names the entry where only training or building would look."""
    model = sequential(entry("GlobalAveragePooling2D", **KERAS))
    return {**model, "compile_config": {"loss": made}, "build_config": made}


PLACES: tuple[Callable[[Entry], Entry], ...] = (
    sequential, functional, functional_3, nested, top, beside,
)  # fmt: skip
