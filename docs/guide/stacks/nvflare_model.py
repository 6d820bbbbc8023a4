"""A persistor as NVFlare's users write it: the adapter as a safetensors file."""

from __future__ import annotations

from nvflare.apis.fl_context import FLContext
from nvflare.app_common.abstract.model import ModelLearnable, ModelLearnableKey, make_model_learnable
from nvflare.app_common.abstract.model_persistor import ModelPersistor
from safetensors.numpy import load_file, save_file


class AdapterFile(ModelPersistor):  # type: ignore[misc]  # nvflare is not typed
    """Reads the first adapter from one file and writes the newest to another."""

    def __init__(self, first: str, newest: str) -> None:
        super().__init__()
        self.first, self.newest = first, newest

    def load_model(self, fl_ctx: FLContext) -> ModelLearnable:
        return make_model_learnable(load_file(self.first), {})

    def save_model(self, model: ModelLearnable, fl_ctx: FLContext) -> None:
        save_file(model[ModelLearnableKey.WEIGHTS], self.newest)
