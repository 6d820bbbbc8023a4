"""A site as a party: its identity folder, and its state between two messages, sealed in that folder.

NVFlare may end a site's process after each task, so nothing is kept in memory.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

from secagg.adapters.desk import desk
from secagg.adapters.party import Party, Train
from secagg.runtime.home import Home

BAG = "bag"
"""Where a bag lies in a Shareable."""
_KEPT = "nvflare.kept"

_locks: defaultdict[str, Lock] = defaultdict(Lock)
"""One message at a time for each party: a task and a message beside it may come on two threads."""


def answer_as(site: str, folder: str, bag: bytes, train: Train | None = None, *, model: Mapping[str, Any] | None = None) -> bytes:
    """The answer of the party whose identity folder is `folder`, where `{site}` stands for the site's name. Raises as `Party.answer`."""
    me, ledger = desk(folder.format(site=site))
    file = (Home.of(me, None).folder or Path()) / _KEPT
    with _locks[str(file)], Party(me, file.read_bytes() if file.exists() else b"", ledger=ledger) as party:
        back = party.answer(bag, train, model=model)
        part = file.with_suffix(".part")
        part.write_bytes(party.keep())
        part.replace(file)
    return back
