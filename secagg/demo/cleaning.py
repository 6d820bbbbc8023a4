"""The step between a company's captions and its training: what a model never saw it cannot leak.

It runs in the company's own process, on the company's own captions; what leaves it is a count and an audit report without a value.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from secagg.demo.planted import Caption
from secagg.demo.record import Cleaned
from secagg.filters import Policy, Sanitized, Sanitizer
from secagg.filters.audit import Audit


class Cleaning:
    """Sanitises captions with the default policy, and remembers what it did; `sanitise=False` leaves them as they are, and counts.

    Raises:
        ConfigError: names are to be found and python-crfsuite is not installed.
    """

    def __init__(self, *, sanitise: bool = True) -> None:
        self._sanitise = sanitise
        self._done: dict[tuple[str, str], Cleaned] = {}
        self._sanitizers: dict[str, Sanitizer] = {}
        self._seen: dict[str, Sanitized] = {}

    def clean(self, company: str, variant: str, captions: Sequence[Caption]) -> list[str]:
        """The texts to train on. Nothing is dropped: every value is replaced by its kind, `[PHONE]`."""
        sanitizer = self._sanitizer(company)
        audit = Audit(sanitizer.policy)
        planted: Counter[str] = Counter()
        found: Counter[str] = Counter()
        left, texts = 0, []
        for caption in captions:
            text = caption.text
            if self._sanitise:
                done = self._apply(sanitizer, caption.text)
                audit.add(caption.text, done)
                text = done.text
                found.update(
                    value.entity
                    for value in caption.values
                    if any(one.start <= value.start and value.end <= one.end for one in done.findings)
                )
            planted.update(value.entity for value in caption.values)
            left += sum(caption.text[value.start : value.end] in text for value in caption.values)
            texts.append(text)
        self._done[company, variant] = Cleaned(
            company=company,
            variant=variant,
            captions=len(texts),
            planted=dict(planted),
            found=dict(found),
            left=left,
            audit=audit.report() if self._sanitise else None,
        )
        return texts

    def of(self, company: str, variant: str) -> Cleaned | None:
        """What was done to the captions of one company in one variant; None if it has not trained on them."""
        return self._done.get((company, variant))

    def _apply(self, sanitizer: Sanitizer, text: str) -> Sanitized:
        """Each different text once: the variants share most of theirs, and a caption without a value is one of few sentences."""
        if text not in self._seen:
            self._seen[text] = sanitizer.apply(text)
        return self._seen[text]

    def _sanitizer(self, company: str) -> Sanitizer:
        if company not in self._sanitizers:
            self._sanitizers[company] = Sanitizer(Policy(party=company, project="secagg demo"))
        return self._sanitizers[company]
