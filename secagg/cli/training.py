"""The callable that `[training] callable = "module:name"` names.

A function is called once a round:

```python
def train(state, round, **options):
    ...
    return trained, examples
```

| name       | is                                                                                                                  |
|------------|---------------------------------------------------------------------------------------------------------------------|
| `state`    | the model of this round, `{name: float32 array}`, or torch tensors with `tensors = "torch"`; yours to change         |
| `round`    | number of the round, from 1                                                                                         |
| `options`  | the keys of `[training.options]`                                                                                    |
| `trained`  | the model after training: same names and shapes, NumPy or torch, any float dtype; with `returns = "change"`, what    |
|            | training added to `state` instead                                                                                   |
| `examples` | an integer from 1 to the plan's `max_weight`: how much this update counts; nobody but this party learns it          |

In a round whose terms ask for a training with noise (`dp-sgd`), the function is called with `privacy`, the `secagg.privacy.PrivacyTerms` of
the round, and returns `(trained, examples, spent)`: `spent` are the noisy steps that it took, one `secagg.dp.accountant.Steps` or several.

A class is called once with the options, and what it returns once a round with `(state, round)`: a base model is loaded once. If the
function or the object has an attribute `base_model` (bytes, SHA-256 of its frozen weights), rounds over another base are refused; if it
has an attribute `layout` (`secagg.lora.adapter_layout(model)`), rounds over an adapter of another configuration are refused too.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from secagg.cli import tensors
from secagg.cli.tensors import State
from secagg.config import Training
from secagg.dp.accountant import Steps
from secagg.encode.layout import Layout
from secagg.encode.note import in_float32
from secagg.errors import ConfigError, SecAggError
from secagg.privacy import PrivacyTerms


class TrainingFailed(SecAggError):
    """The user's callable raised; its traceback is a note on this error."""


class Trainer:
    """The user's callable, its options bound, its answers checked."""

    def __init__(self, settings: Training) -> None:
        self.settings = settings
        named = _find(settings)
        self._call: Callable[..., Any] = _construct(named, settings) if inspect.isclass(named) else named
        self._options = {} if inspect.isclass(named) else settings.options

    @property
    def base_model(self) -> bytes | None:
        """SHA-256 of the frozen weights that this party trains over, if it is known."""
        if self.settings.base_model is not None:
            return bytes.fromhex(self.settings.base_model)
        known = getattr(self._call, "base_model", None)
        if known is None or (isinstance(known, bytes) and len(known) == 32):
            return known
        raise ConfigError(f"{self.settings.callable}.base_model must be 32 bytes, the SHA-256 of the frozen weights")

    @property
    def layout(self) -> Layout | None:
        """The layout that this party trains, with what is bound to it (an adapter's configuration, its base), if it is known."""
        known = getattr(self._call, "layout", None)
        if known is None:
            return None
        if not isinstance(known, Layout):
            raise ConfigError(f"{self.settings.callable}.layout must be a Layout, for example secagg.lora.adapter_layout(model)")
        return in_float32(known)  # what the command line sums in

    def train(self, model: State, number: int) -> tuple[State, int]:
        """The change that training makes to `model`, and how many examples it saw.

        Raises:
            ConfigError: an answer of another form.
            TrainingFailed: the callable raised.
        """
        change, examples, _ = self._train(model, number, None)
        return change, examples

    def train_privately(self, model: State, number: int, terms: PrivacyTerms) -> tuple[State, int, tuple[Steps, ...]]:
        """The same under `terms` that ask for noise in the training, and the noisy steps that it took."""
        return self._train(model, number, terms)

    def _train(self, model: State, number: int, terms: PrivacyTerms | None) -> tuple[State, int, tuple[Steps, ...]]:
        given: Mapping[str, Any] = {name: values.copy() for name, values in model.items()}
        if self.settings.tensors == "torch":
            import torch

            given = {name: torch.from_numpy(values) for name, values in given.items()}
        who = self.settings.callable
        try:
            answer = self._call(given, number, **self._options, **({} if terms is None else {"privacy": terms}))
        except Exception as raised:
            raise _failed("training raised", raised) from raised
        parts = 2 if terms is None else 3
        if not (isinstance(answer, tuple) and len(answer) == parts and isinstance(answer[0], Mapping)):
            form = "(state, examples)" if terms is None else "(state, examples, spent), because the round asks for a training with noise"
            raise ConfigError(f"{who} must return {form}; it returned {type(answer).__name__}")
        trained, examples, *rest = answer
        spent = tuple(one for given in rest for one in (given if isinstance(given, Sequence) else [given]))
        if not all(isinstance(one, Steps) for one in spent):
            raise ConfigError(f"{who} must return its noisy steps as secagg.dp.accountant.Steps")
        if isinstance(examples, bool) or not hasattr(examples, "__index__") or int(examples) < 1:
            raise ConfigError(
                f"{who} must return a whole number of examples, at least 1; it returned {type(examples).__name__} {examples!r:.40}"
            )
        reference = model if self.settings.returns == "state" else {name: values * 0 for name, values in model.items()}
        try:
            return tensors.change(trained, reference), int(examples), spent
        except ConfigError as refused:
            raise ConfigError(f"what {who} returned does not fit the model: {refused}") from refused


def _failed(what: str, raised: Exception) -> TrainingFailed:
    failed = TrainingFailed(f"{what} {type(raised).__name__}: {raised}")
    theirs = raised.__traceback__.tb_next if raised.__traceback__ is not None else None
    while theirs is not None and "importlib" in theirs.tb_frame.f_code.co_filename:
        theirs = theirs.tb_next
    failed.add_note("".join(traceback.format_exception(type(raised), raised, theirs)))
    return failed


def _find(settings: Training) -> Callable[..., Any]:
    module, _, name = settings.callable.partition(":")
    folder = str(settings.path.resolve())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as refused:
        missing = (
            f"{module} is neither installed nor in {folder}"
            if refused.name == module
            else f"it needs {refused.name}, which is not installed"
        )
        raise ConfigError(f"[training] callable {settings.callable!r}: {missing}: correct the name, or set [training] path") from refused
    except Exception as raised:
        raise _failed(f"loading {settings.callable} raised", raised) from raised
    try:
        for part in name.split("."):
            found = getattr(found, part)
    except AttributeError as refused:
        raise ConfigError(f"[training] callable {settings.callable!r}: {refused}") from refused
    if not callable(found):
        raise ConfigError(f"[training] callable {settings.callable!r} is a {type(found).__name__}, not a function or class")
    return found  # type: ignore[no-any-return]  # anything callable


def _construct(kind: Callable[..., Any], settings: Training) -> Callable[..., Any]:
    try:
        made = kind(**settings.options)
    except Exception as raised:
        raise _failed(f"making {settings.callable} from [training.options] raised", raised) from raised
    if not callable(made):
        raise ConfigError(
            f"[training] callable {settings.callable!r}: its instances cannot be called: give it `__call__(self, state, round)`"
        )
    return made  # type: ignore[no-any-return]  # anything callable
