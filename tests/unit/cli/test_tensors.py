"""Models on disk: read as float32 from every float dtype, written whole, refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from secagg.cli import tensors
from secagg.cli.results import ResultFolder
from secagg.errors import ConfigError

STATE = {"b": np.arange(3, dtype=np.float32), "a": np.full((2, 2), 0.5, np.float32)}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_every_float_is_read_as_float32(tmp_path: Path, dtype: type) -> None:
    save_file({name: values.astype(dtype) for name, values in STATE.items()}, tmp_path / "m.safetensors")
    read = tensors.read(tmp_path / "m.safetensors")
    assert list(read) == ["a", "b"]
    assert all(values.dtype == np.float32 and np.array_equal(values, STATE[name]) for name, values in read.items())


def test_bfloat16_is_read_exactly(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file as save_torch

    values = torch.tensor([1.0, -3.140625, 1e-30, 65280.0]).to(torch.bfloat16)
    save_torch({"x": values}, tmp_path / "m.safetensors")
    assert np.array_equal(tensors.read(tmp_path / "m.safetensors")["x"], values.float().numpy())


def test_what_is_written_reads_back_with_its_notes(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    tensors.write(path, STATE, {"round": "3"})
    assert tensors.read_notes(path) == {"round": "3"}
    assert all(np.array_equal(values, STATE[name]) for name, values in tensors.read(path).items())
    assert [item.name for item in tmp_path.iterdir()] == ["m.safetensors"]


def test_files_that_hold_no_model_are_named(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    with pytest.raises(ConfigError, match=r"cannot read the model .*m\.safetensors"):
        tensors.read(path)
    path.write_bytes(b"\x80\x04pickle")
    with pytest.raises(ConfigError, match="no safetensors file"):
        tensors.read(path)
    with pytest.raises(ConfigError, match=r"m\.safetensors is no safetensors file"):
        tensors.read_notes(path)
    with pytest.raises(ConfigError, match="cannot read the model"):
        tensors.read_notes(tmp_path)
    with pytest.raises(ConfigError, match="cannot read the model"):
        tensors.read_notes(tmp_path / "nowhere")
    save_file({"count": np.arange(3)}, path)
    with pytest.raises(ConfigError, match="'count' has dtype I64"):
        tensors.read(path)
    save_file({}, path)
    with pytest.raises(ConfigError, match="no tensors"):
        tensors.read(path)


def test_a_step_adds_the_change_times_the_rate() -> None:
    stepped = tensors.add(STATE, {name: np.ones_like(values) for name, values in STATE.items()}, 0.5)
    assert np.array_equal(stepped["b"], STATE["b"] + np.float32(0.5))


def test_results_go_on_where_they_ended_and_only_for_their_task(tmp_path: Path) -> None:
    kept = ResultFolder(tmp_path / "results")
    assert kept.newest("t", STATE) == (0, STATE)
    later = tensors.add(STATE, STATE, 1.0)
    kept.keep_model(4, "t", later)
    number, model = kept.newest("t", STATE)
    assert number == 4
    assert all(np.array_equal(values, later[name]) for name, values in model.items())
    whole = (tmp_path / "results" / "model.safetensors").read_bytes()
    (tmp_path / "results" / "model.safetensors").write_bytes(whole[:20])
    with pytest.raises(ConfigError, match=r"model\.safetensors is no safetensors file, or a damaged one.* goes on from the model"):
        kept.newest("t", STATE)
    (tmp_path / "results" / "model.safetensors").write_bytes(whole)
    with pytest.raises(ConfigError, match="is of task 't', not 'other'"):
        kept.newest("other", STATE)
    with pytest.raises(ConfigError, match="other tensors"):
        kept.newest("t", {"a": STATE["a"]})
