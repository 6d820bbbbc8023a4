"""DP-SGD on the adapter of a peft model, over Opacus: what one party trains says little of any one record or customer.

    train            the one call: refuses, pays, trains
    Privacy          what is promised: unit, clip, ε or noise, δ
    Payment          the budget that pays, and the name it is paid under
    caption_loss     one loss a record, for transformers' classes; mean_per_record: the same from logits
    check_model      what cannot be trained with a guarantee, with the reason and the fix
    check_independence                     whether each record's gradient is its own: the probe before the first step
    PoissonBatches, Units, join            who is in a step
    per_sample_gradients, PrivateOptimiser, GaussianNoise    gradients, clipping and noise, for a loop of one's own
    save_adapter     to disk, read back

Opacus alone is easily used wrongly on captioners: the usual loss couples records, an empty sample crashes in attention, noise comes from a
generator whose state is saved, and a saved adapter is empty. torch is loaded by the first name that is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from secagg.dp.local.hooks import per_sample_gradients
    from secagg.dp.local.losses import caption_loss, mean_per_record
    from secagg.dp.local.noise import GaussianNoise
    from secagg.dp.local.optimiser import PrivateOptimiser
    from secagg.dp.local.privacy import Payment, Privacy
    from secagg.dp.local.probe import check_independence
    from secagg.dp.local.refusals import check_model
    from secagg.dp.local.sampling import PoissonBatches, Units, join
    from secagg.dp.local.saving import save_adapter
    from secagg.dp.local.training import Trained, train

_HOME = {
    "GaussianNoise": "noise",
    "Payment": "privacy",
    "PoissonBatches": "sampling",
    "Privacy": "privacy",
    "PrivateOptimiser": "optimiser",
    "Trained": "training",
    "Units": "sampling",
    "caption_loss": "losses",
    "check_independence": "probe",
    "check_model": "refusals",
    "join": "sampling",
    "mean_per_record": "losses",
    "per_sample_gradients": "hooks",
    "save_adapter": "saving",
    "train": "training",
}

__all__ = [
    "GaussianNoise",
    "Payment",
    "PoissonBatches",
    "Privacy",
    "PrivateOptimiser",
    "Trained",
    "Units",
    "caption_loss",
    "check_independence",
    "check_model",
    "join",
    "mean_per_record",
    "per_sample_gradients",
    "save_adapter",
    "train",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'secagg.dp.local' has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(f"secagg.dp.local.{_HOME[name]}"), name)
    except ModuleNotFoundError as missing:
        from secagg.errors import ConfigError

        raise ConfigError(f"training with differential privacy needs {missing.name}: run `pip install 'secagg[dp]'`") from missing
