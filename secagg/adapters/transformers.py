"""`SecureCallback`: a `transformers.Trainer` takes part in a task without knowing of it.

```python
with secagg.join("hub.example:7070", identity=me, like=adapter_state(model)) as session:
    Trainer(model, args, train_dataset=data, callbacks=[SecureCallback(session, every=20, weight=len(data))]).train()
```
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import torch
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from secagg.errors import ConfigError
from secagg.lora.change import delta
from secagg.lora.state import State, adapter_state, load_adapter


class Rounds(Protocol):
    """What is used of `secagg.runtime.session.Session`."""

    @property
    def model(self) -> Mapping[str, Any] | None: ...

    def rounds(self, timeout: float | None = None) -> Iterator[Mapping[str, Any]]: ...

    def submit(self, update: Mapping[str, Any], *, weight: int = 1) -> None: ...


class SecureCallback(TrainerCallback):
    """Loads each round's adapter into the model, and hands in what `every` optimiser steps made of it.

    Args:
        session: what `secagg.join` gave, with `like=adapter_state(model)`.
        every: optimiser steps of one round, at least 1.
        weight: how much this party counts, for example its number of examples.
        loaded: called with the round's adapter after it was loaded, for example to evaluate it.
        optimiser: keep the optimiser's moments from round to round (`"keep"`), or forget them when a new adapter is loaded (`"reset"`).
        timeout: seconds to wait for a round; None: as long as it takes.

    Guarantees: the model holds the task's final adapter when `train()` returns because the task is over. If the Trainer stops first,
    for its own reasons, steps since the last submission are this party's own and nobody hears of them.
    """

    def __init__(
        self,
        session: Rounds,
        *,
        every: int,
        weight: int = 1,
        loaded: Callable[[State], None] | None = None,
        optimiser: str = "keep",
        timeout: float | None = None,
    ) -> None:
        if every < 1:
            raise ConfigError(f"every={every}: a round needs at least one optimiser step")
        if optimiser not in ("keep", "reset"):
            raise ConfigError(f'optimiser={optimiser!r}: "keep" or "reset"')
        self._session, self._every, self._weight, self._loaded = session, every, weight, loaded
        self._reset, self._rounds, self._steps = optimiser == "reset", session.rounds(timeout), 0
        self._before: State | None = None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: Any) -> None:
        self._next(given["model"], given.get("optimizer"), control)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: Any) -> None:
        self._steps += 1
        if self._before is None or self._steps < self._every:
            return
        self._session.submit(delta(adapter_state(given["model"]), self._before), weight=self._weight)
        self._next(given["model"], given.get("optimizer"), control)

    def _next(self, model: nn.Module, optimiser: torch.optim.Optimizer | None, control: TrainerControl) -> None:
        """Wait for the next round's adapter; when the task is over, take the final one and stop."""
        given = next(self._rounds, None)
        self._steps, self._before = 0, None if given is None else dict(given)
        adapter = given if given is not None else self._session.model
        if given is None:
            control.should_training_stop = True
        if adapter is None:
            return
        load_adapter(model, adapter)
        if self._reset and optimiser is not None:
            optimiser.state.clear()
        if self._loaded is not None:
            self._loaded(dict(adapter))
