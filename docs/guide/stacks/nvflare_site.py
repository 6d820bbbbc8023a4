"""A training executor as NVFlare's users write it: gets weights, answers with weights and the number of examples."""

from __future__ import annotations

from typing import Any

import task
import torch
from nvflare.apis.dxo import DXO, DataKind, MetaKey, from_shareable
from nvflare.apis.executor import Executor
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.apis.signal import Signal

from secagg.lora import adapter_state, load_adapter


class TaskExecutor(Executor):  # type: ignore[misc]  # nvflare is not typed
    """Fine-tunes the adapter; `fails_in` makes it fail in one round, to see what happens then."""

    def __init__(self, fails_in: int = 0) -> None:
        super().__init__()
        self.fails_in = fails_in

    def execute(self, task_name: str, shareable: Shareable, fl_ctx: FLContext, abort_signal: Signal) -> Shareable:
        if shareable.get_header("current_round") == self.fails_in:
            return make_reply(ReturnCode.EXECUTION_EXCEPTION)
        model: Any = task.make_model()
        x, y = task.make_data(int(fl_ctx.get_identity_name()[-1]))
        load_adapter(model, {name: torch.from_numpy(value) for name, value in from_shareable(shareable).data.items()})
        task.fit(model, x, y)
        trained = {name: tensor.numpy() for name, tensor in adapter_state(model).items()}
        return DXO(DataKind.WEIGHTS, data=trained, meta={MetaKey.NUM_STEPS_CURRENT_ROUND: len(y)}).to_shareable()
