"""What a fence did, in numbers: counters by rule in the format of Prometheus, without any text.

| series | what |
|---|---|
| `secagg_fence_texts_total{outcome}` | texts that came through: clean, changed or refused |
| `secagg_fence_hits_total{rule}` | what was found in them |
| `secagg_fence_held_characters` | characters held back after each piece of a stream |
| `secagg_fence_steps_total` | rows that the decoding fence looked at, one a token |
| `secagg_fence_suppressed_mass_total` | probability that the model gave to forbidden tokens, added up |
| `secagg_fence_dead_ends_total`, `secagg_fence_replaced_total` | where nothing was left; where a replacement was said |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from secagg.errors import ConfigError
from secagg.filters.fence.fence import Fence, Hit

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from secagg.filters.fence.review import ReviewLog

_LENGTHS = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Monitor:
    """Counts for one fence; safe to share between threads.

    Args:
        fence: its rules' names become labels; each is there from the start, at zero.
        log: also writes every hit into a review log.
        registry: where the series are registered; one of its own by default.

    Raises:
        ConfigError: `prometheus-client` is not installed.
    """

    def __init__(self, fence: Fence, *, log: ReviewLog | None = None, registry: CollectorRegistry | None = None) -> None:
        try:
            from prometheus_client import CollectorRegistry, Counter, Histogram
        except ImportError as error:
            raise ConfigError("counters need prometheus-client: pip install 'secagg[serve]'") from error
        self.registry = registry if registry is not None else CollectorRegistry()
        self._log = log
        self._texts = Counter("secagg_fence_texts", "Texts that came through, by what became of them.", ["outcome"], registry=self.registry)
        self._hits = Counter("secagg_fence_hits", "Blocked phrases and numbers found, by rule.", ["rule"], registry=self.registry)
        self._held = Histogram(
            "secagg_fence_held_characters", "Characters held back after a piece of a stream.", buckets=_LENGTHS, registry=self.registry
        )
        self._steps = Counter("secagg_fence_steps", "Rows of logits that were fenced.", registry=self.registry)
        self._mass = Counter("secagg_fence_suppressed_mass", "Probability of forbidden tokens, added up.", registry=self.registry)
        self._dead_ends = Counter("secagg_fence_dead_ends", "Steps at which no token was left.", registry=self.registry)
        self._replaced = Counter("secagg_fence_replaced", "Replacements that were begun.", registry=self.registry)
        for outcome in ("clean", "changed", "refused"):
            self._texts.labels(outcome)
        for name in fence.names:
            self._hits.labels(name)

    def text(self, hits: int, *, refused: bool = False) -> None:
        """One text has come through."""
        self._texts.labels("refused" if refused else "changed" if hits else "clean").inc()

    def hit(self, hit: Hit, said: str) -> None:
        """Something was found; `said` goes to the review log as a hash only."""
        self._hits.labels(hit.rule).inc()
        if self._log is not None:
            self._log.write(hit, said)

    def held(self, characters: int) -> None:
        """A piece of a stream was read, and this much is held back."""
        self._held.observe(characters)

    def steps(self, rows: int, *, dead_ends: int, replaced: int, suppressed: float) -> None:
        """The decoding fence looked at `rows` rows of logits."""
        self._steps.inc(rows)
        self._dead_ends.inc(dead_ends)
        self._replaced.inc(replaced)
        self._mass.inc(suppressed)

    def render(self) -> bytes:
        """All series in Prometheus' text format."""
        from prometheus_client import generate_latest

        return generate_latest(self.registry)
