"""The demo from beginning to end: keys, processes, secure rounds and what they are compared with, measurement, results.

demo ─┬─ judge        initial adapter · scores every model
      ├─ pool         trains with all data in one place, to compare with
      ├─ hub          rounds, and the aggregator beside it
      ├─ auditor      the aggregator, or key holder, of another organisation
      └─ energy, community, urban      train alone and in the secure rounds
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

from secagg.demo.compare import load_update, mean_difference, view
from secagg.demo.crew import Crew
from secagg.demo.options import BESIDE_HUB, ELSEWHERE, HUB, JUDGE, POOL, Options
from secagg.demo.progress import Progress
from secagg.demo.record import (
    BASE,
    FEDERATED,
    POOLED,
    Account,
    Cleaned,
    Cost,
    Example,
    FencedModel,
    Meter,
    Model,
    Point,
    PrivacyRecord,
    Results,
    RoundRecord,
    View,
)
from secagg.demo.setting import criteria, describe, privacy_record
from secagg.demo.tap import ROUND, share_file
from secagg.errors import ConfigError
from secagg.pki.trial import make_trial
from secagg.receipt import Costs, Receipt
from secagg.roster import Roster

EXAMPLES = 4


def run(options: Options, progress: Progress) -> Results:
    """Run the demo and return its results; every process has ended and the keys are gone when it returns or raises.

    Raises:
        PartyFailed: a party ended or failed; carries its name and log.
        ConfigError: the task and its data do not fit.
    """
    options.out.mkdir(parents=True, exist_ok=True)
    for old in options.out.glob("budget-*.sqlite*"):
        old.unlink()  # of another run: its data were other data
    with tempfile.TemporaryDirectory(prefix="secagg-demo-") as work:
        demo = Demo(options, Path(work), progress)
        with Crew(options.out / "logs", demo.listen) as crew:
            demo.crew = crew
            return demo.play()


class Demo:
    """One run. `listen` hears what the parties tell; `play` says what they do."""

    crew: Crew

    def __init__(self, options: Options, work: Path, progress: Progress) -> None:
        self._options, self._work, self._progress = options, work, progress
        self._started = time.monotonic()
        self._rounds: dict[tuple[str, int], RoundRecord] = {}
        self._curves: dict[tuple[str, str], dict[int, dict[str, Any]]] = {}
        self._views: list[View] = []
        self._captions: list[Cleaned] = []
        self._accounts: list[Account] = []
        self._costs: Costs | None = None
        self._roster: Roster
        self._facts: dict[str, Any] = {}
        self._aggregators: tuple[str, ...] = ()

    def play(self) -> Results:
        self._make_keys()
        self._start()
        self._train()
        costs = self._measure()
        self._progress.stage("live.examples")
        return self._results(costs, self._examples(), self._fenced(), self._metered())

    def listen(self, _party: str, event: str, facts: Mapping[str, Any]) -> None:
        """What a party tells while it works."""
        match event:
            case "opened":
                self._opened(facts)
            case "trained":
                self._progress.background(facts["model"], facts["variant"], facts["round"])
                if facts["scored"]:
                    self._score(facts["model"], facts["variant"], facts["round"])

    def _cleaned(self, gives: Mapping[str, Any]) -> None:
        """A company has its captions ready, and says what was taken out of them."""
        self._captions.append(Cleaned.model_validate(gives["cleaned"]))
        self._progress.cleaned(self._captions[-1])

    def _left(self, gives: Mapping[str, Any]) -> None:
        """A company has taken part in all rounds of a variant, and says what stands in its budget."""
        if gives["account"]:
            self._accounts.append(Account.model_validate(gives["account"]))
            self._progress.paid(self._accounts[-1])

    def _make_keys(self) -> None:
        options = self._options
        self._progress.stage("live.making")
        aggregators = () if options.peer else options.aggregators
        trial = make_trial(
            self._work / "pki",
            clients=self._options.companies,
            aggregators=aggregators,
            keyholders=() if options.holding else options.keyholders,
            hub=HUB,
            peer=options.peer,
            holding=options.holding,
            consortium="secagg-demo",
        )
        self._roster = trial.roster

    def _start(self) -> None:
        options = self._options
        facts = {
            "work": str(self._work),
            "identities": str(self._work / "pki"),
            "task": options.task,
            "data": str(options.data) if options.data else None,
            "seed": options.seed,
            "steps": options.steps,
            "side": options.beside,
            "sanitise": options.sanitise,
            "plan": options.plan.to_json(),
            "private": options.private.to_json() if options.private else None,
            "private_plan": options.private_plan.to_json() if options.private_plan else None,
            "budgets": str(options.out.resolve()),
            "watch": self._options.companies[0],
            "beside": [name for name in options.aggregators if name == BESIDE_HUB],
        }
        cast = {
            JUDGE: "judge",
            **({POOL: "pool"} if POOL in options.compared else {}),
            HUB: "hub",
            **dict.fromkeys(self._options.companies, "company"),
            **({ELSEWHERE: "aggregator"} if options.has_auditor else {}),
        }
        self._progress.stage("live.starting", names=", ".join(cast), count=len(cast))
        for name, role in cast.items():
            self.crew.hire(name, role, facts)
        for company in self._options.companies:
            self.crew.tell(company, "prepare", then=self._cleaned, variant=options.variants[0])
        self._facts = self.crew.ask(JUDGE, "begin")
        if tuple(self._facts["companies"]) != self._options.companies:
            raise ConfigError(
                f"the task {options.task} has the companies {self._facts['companies']}; the demo runs {list(self._options.companies)}"
            )
        self._progress.begin(options.number_of_rounds, tuple(self._facts["metrics"]))

    def _train(self) -> None:
        """Everything that needs no clock: the secure rounds, and beside them the models to compare with."""
        options, crew, rounds = self._options, self.crew, self._options.number_of_rounds
        addresses = {
            variant: crew.ask(HUB, "open", variant=variant, base_model=self._facts["base_hash"], adapter=self._facts["adapter"])["address"]
            for variant in options.variants
        }
        self._progress.stage("live.header")
        self._score(BASE, "", 0, file="initial.safetensors")
        for variant, address in addresses.items():
            self._attend(address, variant, tap=True)
            for company in self._options.companies:
                crew.tell(company, "join", then=self._left, address=address, variant=variant)
                if company in options.compared:
                    crew.tell(company, "alone", variant=variant, rounds=rounds, every=options.every)
            crew.tell(HUB, "federate", variant=variant, rounds=rounds)
            if POOL in options.compared:
                crew.tell(POOL, "train", variant=variant, rounds=rounds, every=options.every)
        crew.settle()
        for variant in addresses:
            self._leave(variant)

    def _measure(self) -> list[Cost]:
        self._progress.stage("live.measuring")
        costs = []
        for asked, rounds in self._options.rehearsals:
            values = asked or int(self._facts["values"])
            addresses = self.crew.ask(HUB, "open_rehearsal", values=values)
            for kind, address in addresses.items():
                self._attend(address, f"{kind}-{values}", tap=False)
            for company in self._options.companies:
                self.crew.tell(company, "rehearse", secure=addresses["secure"], plaintext=addresses["plaintext"], values=values)
            measured = self.crew.ask(HUB, "rehearse", rounds=rounds)
            self.crew.settle()
            for kind in addresses:
                self._leave(f"{kind}-{values}")
            costs.append(Cost(values=values, rounds=rounds, **measured))
            self._progress.measured(costs[-1])
        return costs

    def _examples(self) -> list[Example]:
        variant, last = self._options.variants[0], self._options.number_of_rounds
        if self._options.private:
            files = {run: self._joint(run) for run in self._options.variants}
        else:
            files = {name: f"model-{variant}-{last}-{name}.safetensors" for name in (*self._options.companies, FEDERATED, POOLED)}
        shown = self.crew.ask(JUDGE, "show", files=files, count=EXAMPLES)
        return [Example.model_validate(example) for example in shown["examples"]]

    def _fenced(self) -> FencedModel | None:
        """The joint model, biased to say a secret, with and without the fence."""
        found = self.crew.ask(JUDGE, "fence", file=self._joint(self._options.variants[0]))["fenced"]
        if found is None:
            return None
        fenced = FencedModel.model_validate(found)
        self._progress.fenced(fenced)
        return fenced

    def _joint(self, variant: str) -> str:
        """The file of the last joint model of a variant."""
        return f"model-{variant}-{self._options.number_of_rounds}-{FEDERATED}.safetensors"

    def _metered(self) -> PrivacyRecord | None:
        """What the private run promised, spent and tells."""
        facts = self._options.private
        if facts is None:
            return None
        self._progress.stage("live.metering")
        meter = Meter.model_validate(self.crew.ask(JUDGE, "meter", files={run: self._joint(run) for run in self._options.variants}))
        accounts = sorted(self._accounts, key=lambda one: self._options.companies.index(one.company))
        return privacy_record(facts, accounts, meter, self._costs)

    def _attend(self, address: str, name: str, *, tap: bool) -> None:
        if self._options.has_auditor:
            self.crew.ask(ELSEWHERE, "attend", address=address, to=name, tap=tap)

    def _leave(self, name: str) -> None:
        if self._options.has_auditor:
            self.crew.ask(ELSEWHERE, "leave", to=name)

    def _score(self, model: str, variant: str, number: int, *, file: str = "") -> None:
        def keep(scores: dict[str, Any]) -> None:
            self._curves.setdefault((model, variant), {})[number] = scores
            if model == FEDERATED:
                self._progress.opened(self._rounds[variant, number], next(iter(scores["scores"].values())))

        self.crew.tell(JUDGE, "score", then=keep, file=file or f"model-{variant}-{number}-{model}.safetensors")

    def _opened(self, facts: Mapping[str, Any]) -> None:
        """A sum was opened: verify its receipt, compare it with the updates behind it, have the new model scored."""
        variant, number = facts["variant"], facts["round"]
        receipt = Receipt.parse((self._work / f"receipt-{variant}-{number}.bin").read_bytes(), self._roster)
        receipt.verify()
        self._aggregators = receipt.round.description.servers
        updates = [load_update(self._work / f"update-{variant}-{number}-{company}.safetensors") for company in receipt.included]
        found = mean_difference(receipt.round, load_file(self._work / f"mean-{variant}-{number}.safetensors"), updates)
        self._costs = receipt.costs() or self._costs
        terms = receipt.round.description.privacy
        self._rounds[variant, number] = RoundRecord(
            **facts,
            rd=receipt.round.ctx.rd.hex(),
            signed_by=tuple(name for name, _ in receipt.agreement),
            result=receipt.result.hex(),
            bound=found.bound,
            difference=found.largest,
            terms=str(terms) if terms else "",
            booked=tuple(one.party for one in receipt.spent),
            clipped=found.clipped,
        )
        if number == ROUND and variant == self._options.variants[0]:
            self._look(receipt, variant)
        self._score(FEDERATED, variant, number)

    def _look(self, receipt: Receipt, variant: str) -> None:
        """What each aggregator, or the one server, held of one update, beside that update."""
        company = self._options.companies[0]
        update, weight = load_update(self._work / f"update-{variant}-{ROUND}-{company}.safetensors")
        files = {str(name): self._work / share_file(variant, name) for name in (self._aggregators if self._options.aggregators else (HUB,))}
        self._views.append(view(receipt.round, company, variant, update=update, weight=weight, files=files))

    def _results(self, costs: list[Cost], examples: list[Example], fenced: FencedModel | None, privacy: PrivacyRecord | None) -> Results:
        options = self._options
        trained = (FEDERATED,) if options.private else (*options.companies, FEDERATED, POOLED)
        names = [(BASE, ""), *((name, variant) for variant in options.variants for name in trained)]
        models = tuple(self._model(name, variant) for name, variant in names)
        rounds = tuple(self._rounds[key] for key in sorted(self._rounds, key=lambda key: (options.variants.index(key[0]), key[1])))
        metrics = tuple(self._facts["metrics"])
        return Results(
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            seconds=time.monotonic() - self._started,
            setting=describe(options, self._aggregators, int(self._facts["values"])),
            companies=options.companies,
            metrics=metrics,
            variants=options.variants,
            models=models,
            rounds=rounds,
            cleaned=tuple(sorted(self._captions, key=lambda one: options.companies.index(one.company))),
            costs=tuple(costs),
            views=tuple(self._views),
            examples=tuple(examples),
            fenced=fenced,
            privacy=privacy,
            criteria=criteria(options, metrics[0], models, rounds, privacy),
            cannot_claim=tuple(self._facts["cannot_claim"]),
        )

    def _model(self, name: str, variant: str) -> Model:
        scored = self._curves[name, variant]
        headline = self._facts["metrics"][0]
        start = self._curves[BASE, ""][0]["scores"][headline]
        points = [
            Point(round=0, score=start),
            *(Point(round=number, score=scored[number]["scores"][headline]) for number in sorted(scored) if number),
        ]
        return Model(name=name, variant=variant, **scored[max(scored)], curve=tuple(points) if variant else ())
