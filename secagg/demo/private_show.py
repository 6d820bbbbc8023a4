"""What a private run says at its end: the budgets, the two trainings side by side, the memorisation meter."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from secagg.demo.private import EXACT, PRIVATE
from secagg.demo.record import FEDERATED, Audit, CanaryReading, PrivacyRecord, Results
from secagg.demo.words import Words
from secagg.dp.audit.extraction import Extraction

HOPELESS = 1e9
"""Samples from which on a secret does not come out in anybody's lifetime of asking."""


def print_privacy(console: Console, results: Results, privacy: PrivacyRecord, words: Words) -> None:
    """The tables of a private run."""
    console.print()
    console.print(Text(words("privacy.title"), style="bold"))
    for sentence in sentences(results, privacy, words):
        console.print(Text(f"  {sentence}"))
    console.print()
    console.print(_accounts(privacy, words))
    console.print()
    console.print(_meter(privacy, words))
    for audit in privacy.meter.audits:
        console.print(Text(f"  {audited(audit, words)}"))


def sentences(results: Results, privacy: PrivacyRecord, words: Words) -> list[str]:
    """What was promised, what it cost, and what was left of the utility."""
    kept, whole = (results.model(FEDERATED, run).scores[results.headline] for run in (PRIVATE, EXACT))
    promised = words(
        f"privacy.promise_{privacy.noise}",
        epsilon=privacy.epsilon,
        delta=privacy.delta,
        multiplier=privacy.noise_multiplier,
        clip=privacy.clip,
        records=privacy.records,
        batch=privacy.batch,
    )
    found = [
        promised,
        words("privacy.utility", metric=words.name(results.headline), private=kept, exact=whole, part=kept / whole if whole else 0),
    ]
    if privacy.server_epsilon is not None and privacy.colluding_epsilon is not None:
        found.append(words("privacy.readers", server=privacy.server_epsilon, colluding=privacy.colluding_epsilon))
    return found


def audited(audit: Audit, words: Words) -> str:
    """What one run's audit refutes."""
    if not audit.epsilon:
        return words("privacy.audited_nothing", run=words.name(audit.run), canaries=audit.canaries, confidence=audit.confidence)
    numbers = {"right": audit.right, "guesses": audit.guesses, "canaries": audit.canaries}
    return words("privacy.audit", run=words.name(audit.run), epsilon=audit.epsilon, confidence=audit.confidence, **numbers)


def samples(reading: CanaryReading, words: Words) -> str:
    """How many samples hold the secret with probability one half."""
    needed = Extraction(reading.greedy, reading.log_probability).samples()
    return words("privacy.never") if needed > HOPELESS else f"{needed:,.0f}"


def planted(reading: CanaryReading, words: Words) -> str:
    """In how many records the canary stands."""
    return words("privacy.once") if reading.times == 1 else words("privacy.often", times=reading.times)


def written(reading: CanaryReading, words: Words) -> str:
    """Whether the model writes the secret out by itself."""
    return words("setting.yes") if reading.greedy else words("setting.no")


def _accounts(privacy: PrivacyRecord, words: Words) -> Table:
    table = Table(words("privacy.company"), title=Text(words("privacy.budgets"), style="bold"), title_justify="left")
    for key in ("entries", "spent", "rdp", "limit"):
        table.add_column(words(f"privacy.{key}"), justify="right")
    for one in privacy.accounts:
        table.add_row(words.name(one.company), f"{one.entries}", f"{one.epsilon:.3f}", f"{one.rdp_epsilon:.3f}", f"{one.limit:g}")
    return table


def _meter(privacy: PrivacyRecord, words: Words) -> Table:
    table = Table(words("privacy.run"), words("privacy.planted"), title=Text(words("privacy.meter"), style="bold"), title_justify="left")
    for key in ("bits", "greedy", "samples"):
        table.add_column(words(f"privacy.{key}"), justify="right")
    for one in privacy.meter.canaries:
        bits = words("privacy.of", bits=one.bits, most=one.most)
        table.add_row(words.name(one.run), planted(one, words), bits, written(one, words), samples(one, words))
    return table
