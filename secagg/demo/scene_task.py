"""The demo's main task: three companies describe street scenes, each its own aspect, in English and Chinese."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from secagg.demo.captioner import LONGEST, TARGETS, load_base, with_adapter
from secagg.demo.captions import COMPANIES, LANGUAGES, Record, caption, company_records, validation_scenes
from secagg.demo.cleaning import Cleaning
from secagg.demo.fenced import try_fence
from secagg.demo.metrics import bleu4, is_right, rouge_l
from secagg.demo.planted import plant
from secagg.demo.record import Cleaned, FencedModel
from secagg.demo.scenes import paint, to_png
from secagg.demo.task import Line, Sample, Scores, State
from secagg.demo.training import Lessons, Question, Recipe, answer, teach, to_pixels
from secagg.errors import ConfigError
from secagg.lora import adapter_state, base_hash, canonical_config, load_adapter
from secagg.lora.state import peft_config

CANNOT_CLAIM: tuple[str, ...] = (
    "The scenes are rendered and the model is tiny (0.2 million weights): nothing here says how well real pictures would be described.",
    "In the disjoint variant a company's captions speak of one aspect in three: alone it cannot pass 1/3 of the facts, but for guesses.",
    "In the overlap variant (60/20/20) a company alone has a third of the pictures and the training steps: part of the gain is just that.",
    "The tiny vocabulary has no words for the planted values: the sanitiser is shown at work, not how well a large model would learn them.",
    "All data in one place gets as many training steps as the three companies together: federated averaging should stay below it.",
    "A secure sum makes no model better: the same rounds in plaintext give the same scores, up to the quantisation bound.",
    "One data set and one model were tried, and the recipe was chosen on seed 0: other seeds show the spread over scenes, not problems.",
)


_FENCED = 8
"""Scenes that the biased model is asked about."""


class SceneTask:
    """Street scenes; see `secagg.demo.task.Task`.

    `seed` draws the scenes of every company, the personal values planted in captions, the validation set and the initial adapter.
    A company's captions pass the sanitiser before it trains on them, in its own process, unless `sanitise` is turned off.
    """

    name = "scenes"
    companies = COMPANIES
    metrics = ("facts", "BLEU-4", "ROUGE-L")
    cannot_claim = CANNOT_CLAIM

    def __init__(
        self, seed: int = 0, *, sanitise: bool = True, recipe: Recipe | None = None, targets: str | Sequence[str] = TARGETS
    ) -> None:
        self._seed, self._cleaning, self._recipe = seed, Cleaning(sanitise=sanitise), recipe or Recipe()
        self._base, self._tokenizer = load_base()
        self._adapted = with_adapter(self._base, seed, targets=targets)
        self._base_hash = base_hash(self._adapted)
        self._initial = adapter_state(self._adapted)
        self._lessons: dict[tuple[str, str], Lessons] = {}
        self._scenes = validation_scenes(seed)
        self._pixels = to_pixels([paint(scene) for scene in self._scenes])

    def initial_state(self) -> State:
        return {name: value.clone() for name, value in self._initial.items()}

    def base_hash(self) -> bytes:
        return self._base_hash

    def adapter_config(self) -> Mapping[str, object]:
        config: Mapping[str, object] = json.loads(canonical_config(peft_config(self._adapted)))
        return config

    def train(
        self,
        company: str,
        variant: str,
        state: State,
        *,
        round: int,
        steps: int,
        seed: int,
        alone: bool = False,  # a caption is written word by word: there is no list of answers to know
    ) -> tuple[State, int]:
        """The weight is the number of captions that the company holds."""
        if company not in COMPANIES:
            raise ConfigError(f"company {company!r} is unknown: use one of {', '.join(COMPANIES)}")
        return self._train((company,), variant, state, seed=(seed, round, COMPANIES.index(company)), steps=steps)

    def train_pooled(self, variant: str, state: State, *, round: int, steps: int, seed: int) -> tuple[State, int]:
        """The same recipe and batch size on all pictures; `steps` is its own count, three times a company's for an equal budget."""
        return self._train(COMPANIES, variant, state, seed=(seed, round, len(COMPANIES)), steps=steps)

    def cleaned(self, company: str, variant: str) -> Cleaned | None:
        return self._cleaning.of(company, variant)

    def evaluate(self, state: State) -> Scores:
        """Ask for every aspect of every validation scene in both languages; see `secagg.demo.metrics` for the numbers."""
        questions = self._questions(len(self._scenes))
        said = self._answers(state, questions)
        right = [self._is_right(question, text) for question, text in zip(questions, said, strict=True)]
        pairs = [(text, self._reference(question)) for question, text in zip(questions, said, strict=True)]
        own = {
            company: [hit for hit, question in zip(right, questions, strict=True) if question.aspect == company] for company in COMPANIES
        }
        return Scores(
            values={"facts": sum(right) / len(right), "BLEU-4": bleu4(pairs), "ROUGE-L": rouge_l(pairs)},
            by_company={company: sum(hits) / len(hits) for company, hits in own.items()},
        )

    def fenced(self, state: State) -> FencedModel:
        load_adapter(self._adapted, state)
        return try_fence(self._base, self._tokenizer, self._pixels[:_FENCED], self._questions(_FENCED), longest=LONGEST - 3)

    def samples(self, states: Mapping[str, State], n: int) -> list[Sample]:
        """The first `n` validation scenes, taken as they come: none is chosen by its result."""
        questions = self._questions(n)
        said = {model: self._answers(state, questions) for model, state in states.items()}
        lines: list[list[Line]] = [[] for _ in range(n)]
        for row, question in enumerate(questions):
            texts = {model: answers[row] for model, answers in said.items()}
            right = {model: self._is_right(question, text) for model, text in texts.items()}
            lines[question.picture].append(Line(question.aspect, question.language, self._reference(question), texts, right))
        return [Sample(to_png(paint(scene)), "", tuple(of)) for scene, of in zip(self._scenes[:n], lines, strict=True)]

    def _train(self, companies: Sequence[str], variant: str, state: State, *, seed: Sequence[int], steps: int) -> tuple[State, int]:
        lessons = self._lessons_of(companies, variant)
        load_adapter(self._adapted, state)
        teach(self._base, lessons, self._recipe, steps=steps, seed=seed)
        return adapter_state(self._adapted), lessons.captions

    def _lessons_of(self, companies: Sequence[str], variant: str) -> Lessons:
        key = ("+".join(companies), variant)
        if key not in self._lessons:
            records = [record for company in companies for record in self._records(company, variant)]
            scenes = {record.scene: number for number, record in enumerate(records)}
            places = {scene: place for place, scene in enumerate(scenes)}
            questions = [(Question(places[record.scene], record.aspect, record.language), record.text) for record in records]
            self._lessons[key] = Lessons(self._tokenizer, [records[number].picture for number in scenes.values()], questions)
        return self._lessons[key]

    def _records(self, company: str, variant: str) -> list[Record]:
        """The captions as the company may train on them: values are planted in the raw ones, and the sanitiser takes them out."""
        raw = company_records(company, variant, self._seed)
        texts = self._cleaning.clean(company, variant, plant(raw, self._seed))
        return [replace(record, text=text) for record, text in zip(raw, texts, strict=True)]

    def _questions(self, scenes: int) -> list[Question]:
        return [Question(scene, aspect, language) for scene in range(scenes) for aspect in COMPANIES for language in LANGUAGES]

    def _reference(self, question: Question) -> str:
        return caption(self._scenes[question.picture], question.aspect, question.language)

    def _is_right(self, question: Question, text: str) -> bool:
        return is_right(text, self._scenes[question.picture], question.aspect, question.language)

    def _answers(self, state: State, questions: Sequence[Question]) -> list[str]:
        load_adapter(self._adapted, state)
        seen = self._pixels[: 1 + max(question.picture for question in questions)]
        return answer(self._base, self._tokenizer, seen, questions, longest=LONGEST - 3)
