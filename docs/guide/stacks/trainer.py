"""The same client with a `transformers.Trainer`. `python trainer.py PKI-FOLDER CLIENT-NUMBER HUB`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import task
import torch
from peft import PeftModel
from torch import nn
from transformers import Trainer, TrainingArguments

import secagg
from secagg.adapters.transformers import SecureCallback
from secagg.lora import adapter_state


class Classify(Trainer):  # type: ignore[misc]  # transformers is not typed
    """The task's loss."""

    def compute_loss(self, model: nn.Module, inputs: dict[str, torch.Tensor], **_: Any) -> torch.Tensor:
        return nn.functional.cross_entropy(model(inputs["x"]), inputs["y"])


def main(folder: Path, number: int, hub: str) -> PeftModel:
    """Train until the hub ends the task; gives the final model."""
    model, (x, y) = task.make_model(), task.make_data(number)
    data = [{"x": one, "y": label} for one, label in zip(x, y, strict=True)]
    optimiser = torch.optim.SGD([tensor for tensor in model.parameters() if tensor.requires_grad], lr=task.RATE)
    options: dict[str, Any] = {"max_steps": 10_000, "lr_scheduler_type": "constant", "max_grad_norm": 1e9, "use_cpu": True}
    quiet = {"report_to": [], "disable_tqdm": True, "remove_unused_columns": False, "save_strategy": "no", "logging_strategy": "no"}
    args = TrainingArguments(tempfile.mkdtemp(), per_device_train_batch_size=len(data), **options, **quiet)
    with secagg.join(hub, identity=secagg.Identity.load(folder / f"client-{number}"), like=adapter_state(model)) as session:
        callback = SecureCallback(session, every=task.STEPS, weight=len(data))
        Classify(model, args, train_dataset=data, callbacks=[callback], optimizers=(optimiser, None)).train()
    return model


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
