"""Training with noise inside a Flower app: the round's privacy terms come with the message, the steps that were taken go into the reply.

```python
terms = privacy_of(message)                    # None: the sum is exact, or noise is added after the training
asked = Privacy(delta=terms.delta, noise_multiplier=terms.noise_multiplier, clip=terms.clip, unit=terms.unit)
trained = train(model, examples, asked, payment=None, steps=…, batch=…)    # of secagg.dp.local; the round's budget pays for it
content = RecordDict({..., SPENT: spent_record([trained.steps])})
```
Both stay in the node's process: the server is sent neither.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict

from flwr.app import ConfigRecord, Message, RecordDict

from secagg.dp.accountant import Steps, spending_from, spending_to
from secagg.errors import ConfigError
from secagg.privacy import PrivacyTerms

SPENT = "secagg.spent"
_TERMS = "secagg.privacy"
_JSON = "json"


def privacy_of(message: Message) -> PrivacyTerms | None:
    """The privacy terms of the round that a training message belongs to."""
    record = message.content.config_records.get(_TERMS)
    return None if record is None else PrivacyTerms(**json.loads(str(record[_JSON])))


def spent_record(steps: Iterable[Steps]) -> ConfigRecord:
    """The noisy steps of a training: put it into the reply under `SPENT`."""
    return ConfigRecord({_JSON: json.dumps([spending_to(one) for one in steps])})


def put_terms(message: Message, terms: PrivacyTerms | None) -> None:
    """Show the app the terms of the round."""
    message.content.pop(_TERMS, None)  # only the signed description says what they are
    if terms is not None:
        message.content[_TERMS] = ConfigRecord({_JSON: json.dumps(asdict(terms))})


def spent_of(content: RecordDict) -> list[Steps]:
    """The steps that the app put into its reply. Raises ConfigError for a record that `spent_record` did not make."""
    record = content.config_records.get(SPENT)
    if record is None:
        return []
    try:
        steps = [spending_from(one) for one in json.loads(str(record[_JSON]))]
    except (KeyError, TypeError, ValueError) as refused:
        raise ConfigError(f"the reply's record {SPENT!r} is not one of `spent_record`: {refused}") from refused
    return [one for one in steps if isinstance(one, Steps)]
