"""Attention that a model file promises more of than it holds is refused before it is made."""

import json
import zipfile
from pathlib import Path

import keras
import pytest

from tfqdyn.network import modelfile
from tfqdyn.network.modelfile import ModelFileError


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("role", ["value", "key"])
def test_channels_of_keys_and_values_count(role: str, named: bool, tmp_path: Path) -> None:
    q, other = keras.Input((4, 1)), keras.Input((4, 3), name="other")
    layer = keras.layers.MultiHeadAttention(1, 2, value_dim=2, output_shape=1)
    roles = {"value": q, "key": q, role: other}
    y = layer(q, **roles) if named else layer(q, roles["value"], roles["key"])
    path = tmp_path / "net.keras"
    keras.Model([q, other], y).save(path)
    assert modelfile.load(path) is not None
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    told = members["config.json"].decode()
    assert '"batch_shape": [null, 4, 3]' in told
    large = told.replace("[null, 4, 3]", "[null, 4, 1000000000]")
    members["config.json"] = json.dumps(json.loads(large)).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(ModelFileError, match=r"needs [\d,]+ weights"):
        modelfile.load(path)
