"""The companies' reports: one CSV file a company, split so that every company's part of the joint test set is its own.

A file's company is its name up to the first `-` or `.`: `energy-gas-incidents.en.csv` is energy's. The text of a report stands in the
column `text` or `narrative`, its category in `label`, `category` or `cause`; other columns are not read.
Any other folder works the same way: `north.csv` and `south.csv` with the header `text,label` are two companies.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from secagg.errors import ConfigError
from secagg.types import is_party_id

_TEXT, _LABEL = ("text", "narrative"), ("label", "category", "cause")
_ORDER = ("energy", "community", "urban")
TEST = 100
"""Reports of each company in the joint test set; a fifth of a smaller file."""
FEWEST, MOST = 50, 4000
"""Reports a company needs, and how many of a longer file are used (chosen by the seed): its weight in the mean stays below 2^12."""
OWN_SHARE = 0.6
"""How much of its reports a company keeps in the variant `overlap`; the others get the rest in equal parts."""


@dataclass(frozen=True, slots=True)
class Report:
    """One incident as somebody wrote it down."""

    company: str
    text: str
    category: str


@dataclass(frozen=True, slots=True)
class Reports:
    """All reports, split for one seed."""

    training: Mapping[str, tuple[Report, ...]]
    test: tuple[Report, ...]

    @property
    def companies(self) -> tuple[str, ...]:
        return tuple(self.training)

    @property
    def categories(self) -> tuple[str, ...]:
        """Of all companies, sorted."""
        return tuple(sorted({report.category for reports in (*self.training.values(), self.test) for report in reports}))

    def of(self, company: str, variant: str) -> tuple[Report, ...]:
        """What one company trains on. Raises ConfigError for a company without a file."""
        if company not in self.training:
            raise ConfigError(
                f"no reports of {company!r}: the folder has files of {', '.join(self.companies)} (a file's name starts with its company's)"
            )
        if variant == "disjoint":
            return self.training[company]
        return tuple(report for owner in self.companies for report in self._lent(owner, company))

    def _lent(self, owner: str, to: str) -> tuple[Report, ...]:
        """The part of `owner`'s reports that `to` sees: 60 % of one's own, an equal part of the rest of anybody else's."""
        reports = self.training[owner]
        kept = round(OWN_SHARE * len(reports))
        if owner == to:
            return reports[:kept]
        others = [company for company in self.companies if company != owner]
        return reports[kept:][others.index(to) :: len(others)]


def read_reports(folder: Path, seed: int) -> Reports:
    """Read every CSV file of `folder`, in UTF-8, and split it: equal for equal files and seed, on any machine.

    Raises:
        ConfigError: fewer than two files, two of one company, a column that is missing, or too few reports; names the file and the line.
    """
    files: dict[str, Path] = {}
    for path in sorted(folder.glob("*.csv")):
        company = re.split(r"[-.]", path.name.lower())[0]
        if not is_party_id(company):
            raise ConfigError(f"{path}: {company!r} cannot name a company; start the name with a letter or digit, as in north-reports.csv")
        if company in files:
            raise ConfigError(f"{path}: {files[company].name} is a file of {company!r} already; one CSV file a company")
        files[company] = path
    if len(files) < 2:
        raise ConfigError(
            f"{folder}: {len(files)} CSV files; one for each of at least two companies is needed, with the columns text,label"
        )
    order = sorted(files, key=lambda company: (_ORDER.index(company) if company in _ORDER else len(_ORDER), company))
    training, test = {}, []
    for company in order:
        reports = _shuffled(_read(files[company], company), seed)[:MOST]
        held_out = min(TEST, len(reports) // 5)
        test += reports[:held_out]
        training[company] = tuple(reports[held_out:])
    return Reports(training, tuple(test))


def _read(path: Path, company: str) -> list[Report]:
    """The reports of one file, each text once: a text in both parts would be a leak between them."""
    reports: dict[str, Report] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            text, label = (_column(path, rows.fieldnames or (), names) for names in (_TEXT, _LABEL))
            for row in rows:
                if row[text] is None or row[label] is None:
                    raise ConfigError(
                        f"{path}, line {rows.line_num}: fewer fields than columns; quote a text that holds commas or line breaks"
                    )
                words, category = " ".join(row[text].split()), " ".join(row[label].lower().split())
                if words and category:
                    reports.setdefault(words, Report(company, words, category))
    except (UnicodeDecodeError, csv.Error) as problem:
        raise ConfigError(f"{path}: {problem}; save it as comma-separated UTF-8") from problem
    if len(reports) < FEWEST or len({report.category for report in reports.values()}) < 2:
        raise ConfigError(f"{path}: {len(reports)} different texts with a label; at least {FEWEST} with two labels are needed")
    return list(reports.values())


def _column(path: Path, present: object, names: tuple[str, ...]) -> str:
    columns = [str(name) for name in present] if isinstance(present, list | tuple) else []
    for name in names:
        if name in columns:
            return name
    raise ConfigError(f"{path}, line 1: no column {' or '.join(names)} among {', '.join(columns) or 'none'}")


def _shuffled(reports: list[Report], seed: int) -> list[Report]:
    """In the order of a keyed hash of the text, so that a report's place does not depend on the file's order."""
    return sorted(reports, key=lambda report: hashlib.sha256(f"{seed}\0{report.text}".encode()).digest())
