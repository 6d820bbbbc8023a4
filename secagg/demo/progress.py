"""What a person sees while the demo runs and when it ends: one line a round, then tables. In a log, the same as plain lines."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from secagg.demo.private_show import print_privacy
from secagg.demo.record import FEDERATED, POOLED, Account, Cleaned, Cost, FencedModel, Results, RoundRecord
from secagg.demo.words import Words

_BAR = 24
_EIGHTHS = " ▏▎▍▌▋▊▉█"


class Progress:
    """Prints to `console`; on a terminal a line at the bottom says what is going on beside the rounds."""

    def __init__(self, console: Console, words: Words) -> None:
        self._console, self._words = console, words
        self._status: Status | None = None
        self._going: dict[str, str] = {}
        self._rounds = 0
        self._metric = ""

    def stage(self, key: str, **numbers: object) -> None:
        """A part of the demo begins."""
        self._console.print(Text(self._words(key, **numbers), style="bold"))
        self._show(None)

    def begin(self, rounds: int, metrics: Sequence[str]) -> None:
        """The parties are there."""
        self._rounds, self._metric = rounds, self._words.name(metrics[0])

    def cleaned(self, done: Cleaned) -> None:
        """A company's captions are ready to be trained on."""
        key = "live.cleaned" if done.audit else "live.raw"
        numbers = {"captions": count(done.captions), "findings": count(cleaned_findings(done)), "left": count(done.left)}
        self._console.print(Text("  " + self._words(key, company=self._words.name(done.company), **numbers)))

    def fenced(self, done: FencedModel) -> None:
        """The joint model was asked for its secret."""
        self._console.print(Text("  " + self._words("live.fenced", asked=done.asked, free=done.free, fenced=done.fenced)))

    def opened(self, done: RoundRecord, score: float) -> None:
        """A secure round was opened and its model scored."""
        words = self._words
        who = " · ".join(words.name(name) for name in done.included)
        line = Text("  ")
        line.append(f"{words.name(done.variant)}  ", style="dim")
        line.append(words("live.round", round=done.round, rounds=self._rounds))
        line.append(f"   {who}   ", style="dim")
        line.append(f"{done.seconds:5.1f} s   {self._metric} {score:.3f} ")
        line.append(bar(score), style="cyan")
        for name, reason in done.missing.items():
            line.append(f"  {words.name(name)}: {reason}", style="yellow")
        self._console.print(line)

    def background(self, model: str, variant: str, number: int) -> None:
        """A model that is only compared with has trained a round."""
        words = self._words
        self._going[model] = f"{words.name(model)} {number}/{self._rounds}"
        if number == self._rounds:
            del self._going[model]
            if not self._console.is_terminal:
                self._console.print(Text(f"  {words.name(variant)}  {words('live.trained', model=self.model(model))}"))
        self._show(words("live.beside", names=" · ".join(self._going.values())) if self._going else None)

    def paid(self, done: Account) -> None:
        """A company has spent of its budget what it will."""
        numbers = {"entries": done.entries, "epsilon": done.epsilon, "limit": done.limit}
        self._console.print(Text("  " + self._words("live.paid", company=self._words.name(done.company), **numbers)))

    def measured(self, cost: Cost) -> None:
        """Secure rounds were measured beside plaintext ones."""
        numbers = {
            "secure": cost.secure_median * 1000,
            "plain": cost.plain_median * 1000,
            "values": count(cost.values),
            "ratio": cost.seconds_ratio,
        }
        self._console.print(Text("  " + self._words("live.measured", **numbers)))

    def model(self, name: str) -> str:
        """How a model is called in a table."""
        words = self._words
        return words.name(name) if name in (FEDERATED, POOLED, "base") else words("scores.alone", company=words.name(name))

    def close(self) -> None:
        """Take away the line at the bottom."""
        self._show(None)

    def _show(self, text: str | None) -> None:
        if not self._console.is_terminal:
            return
        if text is None:
            if self._status is not None:
                self._status.stop()
                self._status = None
        elif self._status is None:
            self._status = self._console.status(Text(text, style="dim"), spinner="dots")
            self._status.start()
        else:
            self._status.update(Text(text, style="dim"))


def bar(score: float) -> str:
    """A score in [0, 1] as a bar, in eighths of a letter."""
    eighths = round(max(0.0, min(score, 1.0)) * _BAR * 8)
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).strip()


def print_results(console: Console, results: Results, words: Words) -> None:
    """The tables and verdicts at the end."""
    progress = Progress(console, words)
    for variant in results.variants:
        console.print()
        console.print(_scores(results, variant, words, progress))
    if results.privacy is not None:
        print_privacy(console, results, results.privacy, words)
    console.print()
    console.print(_costs(results, words))
    console.print()
    worst = max(results.exact_rounds, key=lambda one: one.difference / one.bound)
    console.print(Text(words("mean.title"), style="bold"))
    numbers = {"rounds": len(results.exact_rounds), "difference": worst.difference, "bound": worst.bound}
    console.print(Text("  " + words("mean.worst", **numbers)))
    console.print()
    console.print(Text(words("criteria.title"), style="bold"))
    for number, criterion in enumerate(results.criteria):
        verdict = Text(
            f"  {words('criteria.pass') if criterion.holds else words('criteria.fail')}  ",
            style="bold green" if criterion.holds else "bold red",
        )
        console.print(verdict + Text(criterion_sentence(results, number, words), style=""))
    if not results.criteria:
        console.print(Text("  " + words("criteria.unjudged")))
    console.print()
    console.print(Text(words("limits.title"), style="bold"))
    for sentence in limits(results, words):
        console.print(Text(f"  - {sentence}"))


def criterion_sentence(results: Results, number: int, words: Words) -> str:
    """What the run had to show, with its numbers."""
    found = results.criteria[number]
    numbers = {"metric": words.name(results.headline), "variant": words.name(found.variant)}
    return words(f"criteria.{found.name}", required=found.required, measured=found.measured, **numbers)


def limits(results: Results, words: Words) -> list[str]:
    """What the numbers do not show: the task's own sentences, and those of any trial on one machine."""
    return [*results.cannot_claim, *(words(f"limits.{name}") for name in ("one_machine", "honest_aggregator", "no_dp"))]


def cleaned_findings(done: Cleaned) -> int:
    """Values that the sanitiser replaced in one company's captions."""
    return sum(row.findings for row in done.audit.entities) if done.audit else 0


def _scores(results: Results, variant: str, words: Words, progress: Progress) -> Table:
    title = Text(f"{words('scores.title')} · {words.name(variant)}", style="bold")
    table = Table(words("scores.model"), title=title, title_justify="left")
    for metric in results.metrics:
        table.add_column(words.name(metric), justify="right")
    for row in [*results.rows(""), *results.rows(variant)]:
        style = "bold" if row.name == FEDERATED else "dim" if row.name in ("base", POOLED) else ""
        table.add_row(progress.model(row.name), *(f"{row.scores[metric]:.3f}" for metric in results.metrics), style=style)
    return table


def _costs(results: Results, words: Words) -> Table:
    title = Text(f"{words('cost.title')} · {words('cost.a_round')}", style="bold")
    table = Table(words("cost.update"), title=title, title_justify="left")
    for _ in range(2):
        for kind in ("plaintext", "secure", "ratio"):
            table.add_column(words(f"cost.{kind}"), justify="right")
    for cost in results.costs:
        times = (clock(cost.plain_median), clock(cost.secure_median), f"{cost.seconds_ratio:.2f}")
        sizes = (size(cost.plain_bytes), size(cost.secure_bytes), f"{cost.bytes_ratio:.3f}")
        table.add_row(words("cost.values", values=count(cost.values)), *times, *sizes)
    return table


def count(value: int) -> str:
    """A number with commas between thousands."""
    return f"{value:,}"


def size(value: float) -> str:
    """Bytes as a person reads them."""
    for unit in ("B", "kB", "MB"):
        if abs(value) < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.2f} GB"


def clock(seconds: float) -> str:
    """Seconds as a person reads them."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"
