"""The street scenes of a private run: more pictures for each company, one caption each, trained on with DP-SGD or, to compare, without.

A record is one picture with its one caption. Noise hides one record among many: 840 pictures, as the demo has them otherwise, are too few
for any ε that is worth stating, so here each company photographs more. The run without noise gets the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, overload

import torch
from transformers.modeling_outputs import BaseModelOutput

from secagg.demo.captioner import DECODER_TARGETS
from secagg.demo.captions import COMPANIES, LANGUAGES, Record, caption
from secagg.demo.meter import COMPANY, Canaries
from secagg.demo.planted import plant
from secagg.demo.private import PRIVATE, RUNS, PrivateFacts
from secagg.demo.record import Cleaned, Meter
from secagg.demo.scene_task import CANNOT_CLAIM, SceneTask
from secagg.demo.scenes import draw_scenes, paint
from secagg.demo.task import State
from secagg.demo.training import Lessons, Recipe
from secagg.dp.accountant import Steps
from secagg.dp.local import Payment, Privacy, mean_per_record, train
from secagg.errors import ConfigError
from secagg.lora import load_adapter

AT_ONCE = 192
"""Records in a pass: more than nearly any sample of 128 has, so that a step is one pass."""
_RECIPE = Recipe(warm_up=3)


class PrivateScenes(SceneTask):
    """`SceneTask` with a second way to train. Both runs are on the same records, which `seed` draws."""

    cannot_claim = (*CANNOT_CLAIM[:1], CANNOT_CLAIM[3], *CANNOT_CLAIM[5:])

    def __init__(self, seed: int, facts: PrivateFacts, *, sanitise: bool = True) -> None:
        super().__init__(seed, sanitise=sanitise, recipe=replace(_RECIPE, pictures=facts.batch), targets=DECODER_TARGETS)
        self._facts = facts
        self._canaries = Canaries(self._tokenizer, seed, references=facts.references)

    def train(
        self, company: str, variant: str, state: State, *, round: int, steps: int, seed: int, alone: bool = False
    ) -> tuple[State, int]:
        """Without noise. The weight is 1: a sum of other weights would tell of records, whatever the noise hides."""
        if variant not in RUNS:
            raise ConfigError(f"variant {variant!r} is unknown: use one of {', '.join(RUNS)}")
        after, _ = super().train(company, PRIVATE, state, round=round, steps=steps, seed=seed, alone=alone)
        return after, 1

    def train_private(self, company: str, state: State, *, payment: Payment | None) -> tuple[State, Steps]:
        """One round of DP-SGD, paid for before its first step. Gives the new adapter and the noisy steps.

        Raises:
            BudgetExceeded: the company's budget does not cover it: nothing was trained.
        """
        facts, recipe = self._facts, _RECIPE
        privacy = Privacy(delta=facts.delta, noise_multiplier=facts.noise_multiplier, clip=facts.clip)
        load_adapter(self._adapted, state)
        done = train(
            self._adapted,
            _Examples(self._lessons_of((company,), PRIVATE)),
            privacy,
            payment=payment,
            loss=_loss,
            steps=facts.steps,
            batch=facts.batch,
            learning_rate=lambda step: facts.learning_rate * min((step + 1) / (1 + recipe.warm_up), 1.0),
            optimiser=lambda parameters: torch.optim.AdamW(parameters, weight_decay=0.0, betas=(0.9, recipe.beta2)),
            at_once=AT_ONCE,
        )
        return done.adapter, done.steps

    def _lessons_of(self, companies: Sequence[str], variant: str) -> Lessons:
        """The adapter is on the decoder alone, so each picture goes through the encoder once, before the first step."""
        lessons = super()._lessons_of(companies, variant)
        if lessons.seen is None:
            lessons.see(self._base)
        return lessons

    def cleaned(self, company: str, variant: str) -> Cleaned | None:
        return super().cleaned(company, PRIVATE)

    def meter(self, states: Mapping[str, State]) -> Meter:
        """What each model of `states` tells of the canaries."""
        scores, readings = {}, []
        for run, state in {"": self._initial, **states}.items():
            load_adapter(self._adapted, state)
            scores[run] = self._canaries.scores(self._adapted)
            readings += self._canaries.read(self._adapted, run) if run else []
        audits = [self._canaries.audit(scores[""], scores[run], run=run, delta=self._facts.delta) for run in states]
        return Meter(company=COMPANY, canaries=tuple(readings), audits=tuple(audits))

    def _records(self, company: str, variant: str) -> list[Record]:
        """As many as each company has; in one, the last of them make room for the canaries."""
        raw = private_records(company, self._seed, self._facts.records)
        texts = self._cleaning.clean(company, variant, plant(raw, self._seed))
        records = [replace(record, text=text) for record, text in zip(raw, texts, strict=True)]
        planted = self._canaries.records() if company == COMPANY else []
        return [*records[: len(records) - len(planted)], *planted]


def private_records(company: str, seed: int, count: int) -> list[Record]:
    """`count` pictures of one company, with one caption of its own aspect each; the languages take turns."""
    scenes = draw_scenes((seed, 1 + COMPANIES.index(company)), count)
    records = []
    for number, scene in enumerate(scenes):
        name, language = f"{company}-{number:05d}", LANGUAGES[number % len(LANGUAGES)]
        records.append(Record(f"{name}-{language}", name, company, language, caption(scene, company, language), paint(scene)))
    return records


def _loss(model: Any, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:  # peft wraps any class
    """One value for each record, from what the encoder saw of its picture."""
    seen = BaseModelOutput(last_hidden_state=batch["seen"])
    logits = model(encoder_outputs=seen, decoder_input_ids=batch["inputs"], use_cache=False).logits
    return mean_per_record(logits, batch["labels"])


class _Examples(Sequence[dict[str, torch.Tensor]]):
    """Lessons with one caption a picture, as `_loss` takes them."""

    def __init__(self, lessons: Lessons) -> None:
        assert lessons.seen is not None  # noqa: S101  # `PrivateScenes` sees to it
        self._lessons, self._seen = lessons, lessons.seen

    def __len__(self) -> int:
        return self._lessons.captions

    @overload
    def __getitem__(self, place: int) -> dict[str, torch.Tensor]: ...
    @overload
    def __getitem__(self, place: slice) -> list[dict[str, torch.Tensor]]: ...
    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        lessons = self._lessons
        return {"seen": self._seen[place].float(), "inputs": lessons.inputs[place], "labels": lessons.targets[place]}
