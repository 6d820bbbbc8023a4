"""The text fence: finds what is blocked in any text, and redacts, replaces or refuses it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import itemgetter
from typing import Literal, NamedTuple, Protocol, get_args

from secagg.errors import ConfigError
from secagg.filters.fence import alphabet
from secagg.filters.fence.alphabet import MARK, Alphabet
from secagg.filters.fence.automaton import Automaton, Found, Spot
from secagg.filters.fence.rules import Phrases, Rule, Shape, indexed
from secagg.filters.fence.shapes import ShapeMachine
from secagg.filters.fence.short import SOLID, spellings
from secagg.filters.fence.short import short as is_short

Action = Literal["redact", "replace", "refuse"]
_LOOKS = 8


class Machine(Protocol):
    """A deterministic machine over the symbols of one policy."""

    @property
    def start(self) -> int: ...
    @property
    def alphabet(self) -> Alphabet: ...
    def symbols(self, text: str) -> str: ...
    def step(self, state: int, symbol: str) -> tuple[int, bool]: ...
    def found(self, state: int) -> Found | None: ...
    def live(self, state: int) -> int: ...
    def spots(self, symbols: str) -> Iterable[Spot]: ...


class Hit(NamedTuple):
    """A blocked phrase in a text: the name of its rule, and its place in the original."""

    rule: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Fenced:
    """A text that passed the fence, and what was found in it."""

    text: str
    hits: tuple[Hit, ...]


class Fence:
    """Blocks phrases and personal numbers in text.

    Args:
        *rules: `Phrases` and `Shape`s.
        action: `redact` puts four marks in place of what is blocked, `replace` puts `replacement` between marks, `refuse` gives `refusal`
            instead of the whole text (in a stream: from there on).
        replacement: for `replace`.
        refusal: for `refuse`.

    Guarantees:
        What `apply` gives out holds no blocked phrase in any disguise that its policy covers: `check` finds nothing in it, and `apply`
        leaves it as it is. In what a `StreamFilter` gives out a mark (█) put by the fence counts as a letter that no phrase has, since
        what stands before it is out already. A mark in the text that comes in is punctuation like any other.

    Raises:
        ConfigError: no rule, a phrase without letter or digit, or a replacement or refusal that is itself blocked.
    """

    def __init__(
        self,
        *rules: Rule,
        action: Action = "redact",
        replacement: str = "removed",
        refusal: str = "This answer was withheld.",
    ) -> None:
        if not rules:
            raise ConfigError("a fence needs at least one rule")
        if action not in get_args(Action):
            raise ConfigError(f"action {action!r} is unknown: use {', '.join(get_args(Action))}")
        self.rules = rules
        self.names = tuple(rule.name for rule in rules)
        self.action = action
        self.refusal = refusal
        self.mark = f"{MARK}{replacement}{MARK}" if action == "replace" else MARK * 4
        self.machines = tuple(_machines(rules))
        self._for_chinese = tuple(machine for machine in self.machines if not (isinstance(machine, Automaton) and machine.latin))
        said = {"redact": "", "replace": replacement, "refuse": refusal}[action]
        if hits := self.check(said):
            raise ConfigError(f"the {action} text is itself blocked by {hits[0].rule!r}: choose another")

    @property
    def phrases(self) -> int:
        """How many phrases it blocks."""
        return sum(len(rule.phrases) for rule in self.rules if isinstance(rule, Phrases))

    def check(self, text: str) -> tuple[Hit, ...]:
        """Everything blocked in `text`, in the order in which it ends; of phrases that end at one place, the longest."""
        few = len(self._for_chinese) < len(self.machines) and alphabet.CHINESE.fullmatch(text) is not None
        found: list[tuple[int, int, Hit]] = []
        for index, machine in enumerate(self._for_chinese if few else self.machines):
            if spots := [*machine.spots(text.translate(machine.alphabet))]:
                origins = [*machine.alphabet.origins(text), len(text)]
                found += [
                    (origins[at], index, Hit(self.names[rule], origins[start], origins[end - 1] + 1)) for at, start, end, rule in spots
                ]
        found.sort(key=itemgetter(0, 1))
        return tuple(hit for _, _, hit in found)

    def apply(self, text: str, *, seen: Callable[[Hit, str], None] | None = None) -> Fenced:
        """`text` with the fence's action done to it; `seen` is told of every hit and the characters that it covers."""
        hits = self.check(text)
        if seen is not None:
            for hit in hits:
                seen(hit, text[hit.start : hit.end])
        if not hits:
            return Fenced(text, hits)
        if self.action == "refuse":
            return Fenced(self.refusal, hits)
        return Fenced(self._again(_covered(text, hits, self.mark)), hits)

    def _again(self, text: str) -> str:
        """What was apart may be a phrase or a number now that something between or beside it is gone: look until nothing is found.

        The number of looks is bounded, for a text can be built so that each uncovers one more; such a text goes as a whole.
        """
        for _ in range(_LOOKS):
            hits = self.check(text)
            if not hits:
                return text
            text = _covered(text, hits, MARK * 4)
        return MARK * 4

    def apply_all(self, texts: Iterable[str]) -> Iterable[Fenced]:
        """`apply`, text by text."""
        return map(self.apply, texts)


def _covered(text: str, hits: Iterable[Hit], mark: str) -> str:
    """`text` with a mark in place of each run of hits that overlap."""
    spans: list[tuple[int, int]] = []
    for start, end in sorted((hit.start, hit.end) for hit in hits):
        if spans and start < spans[-1][1]:
            spans[-1] = spans[-1][0], max(end, spans[-1][1])
        else:
            spans.append((start, end))
    starts, ends = [start for start, _ in spans], [end for _, end in spans]
    return mark.join(text[first:last] for first, last in zip([0, *ends], [*starts, len(text)], strict=True))


def _machines(rules: tuple[Rule, ...]) -> Iterable[Machine]:
    letters, words = alphabet.robust(), alphabet.short()
    auto = [(phrase, index, is_short(phrase.translate(letters))) for phrase, index in indexed(rules, "auto")]
    robust = [*indexed(rules, "robust"), *((phrase, index) for phrase, index, few in auto if not few)]
    if robust:
        yield Automaton(((form, index) for phrase, index in robust for form in _cases(phrase)), letters, gaps=False)
    if whole := [(_joined(phrase), index) for phrase, index, few in auto if few and len(phrase.translate(letters)) == SOLID]:
        yield Automaton(whole, alphabet.solid(), gaps=False)
    if few := [(form, index) for phrase, index, few in auto if few for form in spellings(phrase.translate(words))]:
        yield Automaton(few, words, gaps=True)
    if word := indexed(rules, "word"):
        yield Automaton(word, alphabet.word(), gaps=True)
    if shapes := [(rule.name, index) for index, rule in enumerate(rules) if isinstance(rule, Shape)]:
        yield ShapeMachine(shapes)


def _joined(phrase: str) -> str:
    """A phrase in one piece."""
    return "".join(filter(str.isalnum, phrase))


def _cases(phrase: str) -> Iterable[str]:
    """A phrase as it is, and in other cases where these look like other letters: Greek Η like H, η like n."""
    return (phrase,) if phrase.isascii() else {phrase, phrase.lower(), phrase.upper(), phrase.title()}
