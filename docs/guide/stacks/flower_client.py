"""A Flower client as its users write it, and one mod."""

from __future__ import annotations

import task
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from secagg.adapters.flower import SecureMod
from secagg.lora import adapter_state, load_adapter

app = ClientApp(mods=[SecureMod()])  # the only line that is not Flower's


@app.train()
def train(message: Message, context: Context) -> Message:
    """Fine-tune the adapter that came on this client's data."""
    model, (x, y) = task.make_model(), task.make_data(int(context.node_config["partition-id"]))
    load_adapter(model, message.content["arrays"].to_torch_state_dict())
    loss = task.fit(model, x, y)
    metrics = MetricRecord({"num-examples": len(y), "loss": loss})
    return Message(RecordDict({"arrays": ArrayRecord(adapter_state(model)), "metrics": metrics}), reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """How well the averaged adapter does here."""
    model, (x, y) = task.make_model(), task.make_data(int(context.node_config["partition-id"]))
    load_adapter(model, message.content["arrays"].to_torch_state_dict())
    metrics = MetricRecord({"num-examples": len(y), "loss": task.loss_of(model, x, y)})
    return Message(RecordDict({"metrics": metrics}), reply_to=message)
