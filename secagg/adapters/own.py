"""What a party insists on in a stack: the file `policy.toml` in its identity folder, which no job of a server's operator can change.

```
[policy]                           as in the file of `secagg join`
n_min = 3

[policy.privacy]                   what a round must promise about its data
unit = "organisation"
epsilon = 1.0
delta = 1e-6

[budget]                           what such rounds are paid from; paths are relative to the file
file = "budget.sqlite"
data = "captions"
```
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from secagg.config import OwnSettings, load
from secagg.dp.budget import Purse
from secagg.policy import Policy

FILE = "policy.toml"


@contextmanager
def own_terms(
    folder: Path | None, policy: Policy | None = None, budget: Purse | None = None
) -> Iterator[tuple[Policy | None, Purse | None]]:
    """The policy and the budget of the party whose identity folder this is; those given where the folder has no `policy.toml`.

    Raises:
        ConfigError: the file is not one, or names a budget ledger that does not exist.
    """
    if folder is None or not (folder / FILE).exists():
        yield policy, budget
        return
    settings = load(folder / FILE, OwnSettings)
    purse = settings.budget.purse() if settings.budget is not None else None
    try:
        yield settings.policy.policy(), purse
    finally:
        if purse is not None:
            purse.ledger.close()
