"""The report: one HTML file that carries everything it shows, made from `results.json` alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from secagg.demo import figures
from secagg.demo.figures import Line
from secagg.demo.private import EXACT, PRIVATE
from secagg.demo.private_show import audited, planted, samples, sentences, written
from secagg.demo.progress import clock, count, criterion_sentence, limits, size
from secagg.demo.record import FEDERATED, POOLED, Answer, Cleaned, Example, Model, Results, View, median
from secagg.demo.words import TEMPLATES, Words

_COMPANY_INKS = ("company-1", "company-2", "company-3")


def render(results: Results, words: Words) -> str:
    """The whole page. Deterministic: the same results give the same bytes."""
    words = words.under(results.setting.protocol).under("with_dp" if results.privacy else "")
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(count=count, size=size, clock=clock, score=lambda value: f"{value:.3f}")
    environment.globals["style"] = Markup((TEMPLATES / "report.css").read_text("utf-8"))  # noqa: S704  # our own file
    return environment.get_template("report.html").render(r=results, t=words, page=Page(results, words))


def write(results: Results, words: Words, folder: Path) -> Path:
    """Write `report.html` into `folder` and return its path."""
    path = folder / "report.html"
    path.write_text(render(results, words), encoding="utf-8")
    return path


@dataclass(frozen=True, slots=True)
class PrivatePage:
    """What the report says of a private run."""

    sentences: Sequence[str]
    company: str
    rows: Sequence[tuple[str, ...]]
    """(training, planted, exposure, written out, samples) of each canary."""
    audits: Sequence[str]


class Page:
    """What the template asks for beyond the results: figures, rows in table order, sentences with their numbers."""

    def __init__(self, results: Results, words: Words) -> None:
        self._results, self._words = results, words

    def label(self, row: Model) -> str:
        """How a row is called in tables and answers."""
        return self.model(row.name)

    def variant(self, name: str) -> str:
        """What is compared in a variant, in one sentence."""
        records = self._results.privacy.records if self._results.privacy else 0
        return self._words(f"scores.{name}", records=records) if records else self._words(f"scores.{name}")

    def model(self, name: str) -> str:
        if name in self._results.companies:
            return self._words("scores.alone", company=self._words.name(name))
        return self._words.name(name)

    def ink(self, name: str) -> str:
        """The colour of a model, as a variable of the style sheet."""
        if name in self._results.companies:
            return _COMPANY_INKS[self._results.companies.index(name) % len(_COMPANY_INKS)]
        if name in (PRIVATE, EXACT):
            return FEDERATED if name == PRIVATE else POOLED
        return name if name in (FEDERATED, POOLED) else "muted"

    def best_single(self, variant: str) -> Model:
        """The company that does best alone, in the first metric."""
        return max(
            (self._results.model(name, variant) for name in self._results.companies), key=lambda row: row.scores[self._results.headline]
        )

    def headlines(self) -> Sequence[tuple[str, str, float, str]]:
        """(label, name, score, ink) of the three numbers at the top."""
        if self._results.privacy:
            rows = [
                ("report.federated", self._results.model(FEDERATED, PRIVATE)),
                ("report.best_single", self._results.model(FEDERATED, EXACT)),
            ]
            return [
                (self._words(key), self._words.name(row.variant), row.scores[self._results.headline], self.ink(row.variant))
                for key, row in rows
            ]
        first = self._results.variants[0]
        best = self.best_single(first)
        rows = [
            ("report.best_single", best),
            ("report.federated", self._results.model(FEDERATED, first)),
            ("report.pooled", self._results.model(POOLED, first)),
        ]
        return [(self._words(key), self._words.name(row.name), row.scores[self._results.headline], self.ink(row.name)) for key, row in rows]

    def is_best(self, row: Model, metric: str) -> bool:
        """Whether no model that could exist in reality does better: the pooled one is left out."""
        rows = [other for other in self._results.rows(row.variant) if other.name != POOLED]
        return row.name != POOLED and row.scores[metric] >= max(other.scores[metric] for other in rows)

    def criterion(self, number: int) -> str:
        """What the run had to show, with its numbers."""
        return criterion_sentence(self._results, number, self._words)

    def limits(self) -> list[str]:
        """What the numbers do not show."""
        return limits(self._results, self._words)

    def curve_figure(self) -> Markup:
        results, words = self._results, self._words
        metric = words.name(results.headline)
        panels = {words.name(variant): [self._line(row) for row in results.rows(variant) if row.curve] for variant in results.variants}
        return figures.curves("curve", words("scores.curve_alt", metric=metric), panels, x_label=words("scores.round"))

    def _line(self, row: Model) -> Line:
        thick = 2.6 if row.name == FEDERATED else 1.4
        label = self._words.name(row.name)
        return Line(label, self.ink(row.name), tuple((point.round, point.score) for point in row.curve), row.name == POOLED, thick)

    def cleaned(self) -> list[tuple[str, Cleaned, list[tuple[str, int, int, int]]]]:
        """(company, what was done, rows of (entity, planted, found of them, findings in all)), entities by name."""
        found = []
        for one in self._results.cleaned:
            findings = {row.entity: row.findings for row in one.audit.entities} if one.audit else {}
            entities = sorted({*one.planted, *findings})
            rows = [(entity, one.planted.get(entity, 0), one.found.get(entity, 0), findings.get(entity, 0)) for entity in entities]
            found.append((self._words.name(one.company), one, rows))
        return found

    def privacy(self) -> PrivatePage | None:
        """The sentences and rows of a private run."""
        found = self._results.privacy
        if found is None:
            return None
        words = self._words
        said = [*sentences(self._results, found, words), words("privacy.terms", terms=found.terms)]
        rows = [
            (
                words.name(one.run),
                planted(one, words),
                words("privacy.of", bits=one.bits, most=one.most),
                written(one, words),
                samples(one, words),
            )
            for one in found.meter.canaries
        ]
        return PrivatePage(said, words.name(found.meter.company), rows, [audited(one, words) for one in found.meter.audits])

    def cost_figures(self) -> Sequence[tuple[int, Markup]]:
        words = self._words
        drawn = []
        for cost in self._results.costs:
            rows = {words("cost.plaintext"): ("muted", cost.plain_seconds), words("cost.secure"): ("federated", cost.secure_seconds)}
            drawn.append((cost.values, figures.strips(f"cost-{cost.values}", words("cost.alt"), rows, x_label=words("cost.seconds"))))
        return drawn

    def training(self) -> str:
        rounds = self._results.rounds
        return self._words(
            "cost.training", median=median(tuple(one.seconds for one in rounds)), waited=median(tuple(one.waited for one in rounds))
        )

    def bound_figure(self) -> Markup:
        words = self._words
        points = [(max(one.difference, one.bound * 1e-6), one.bound) for one in self._results.exact_rounds]
        labels = {"difference": words("mean.column_difference"), "limit": words("mean.column_bound"), "x_label": words("mean.column_round")}
        return figures.bound("bound", words("mean.alt"), points, **labels)

    def view_figures(self, view: View) -> Sequence[tuple[str, Markup, Mapping[str, str]]]:
        """(caption, figure, notes) of the update and of each share."""
        words, bits = self._words, self._results.setting.ring_bits
        title = words("view.update", company=words.name(view.company))
        alt = words("view.alt", count=view.values, what=title)
        name, found = f"view-{view.company}", view.update
        drawn: list[tuple[str, Markup, Mapping[str, str]]] = [
            (
                title,
                figures.histogram(
                    name, alt, found.low, found.high, found.counts, ink=self.ink(view.company), x_label=words("view.unit_update")
                ),
                {},
            )
        ]
        for share in view.shares:
            title, found = words("view.share", aggregator=share.aggregator), share.histogram
            alt, unit = words("view.alt", count=view.values, what=title), words("view.unit_share", bits=bits)
            plot = figures.histogram(f"{name}-{share.aggregator}", alt, found.low, found.high, found.counts, ink="muted", x_label=unit)
            notes = {"uniform": words("view.uniform", p=share.chi_square), "correlation": words("view.correlation", r=share.correlation)}
            drawn.append((title, plot, notes))
        return drawn

    def asked(self, example: Example) -> list[str]:
        """The companies whose aspects the example was asked about."""
        return list(dict.fromkeys(answer.company for answer in example.answers))

    def about(self, example: Example, company: str) -> list[Answer]:
        """The questions about one company's aspect, one for each language."""
        return [answer for answer in example.answers if answer.company == company]

    def said(self, example: Example) -> list[str]:
        """The models that answered."""
        return list(example.answers[0].said)
