"""What happens to what is found: a TOML file, checked key by key, with a default that is safe as it is.

```toml
project = "street-2027"          # pseudonyms of one project agree with one another
party = "energy"                 # named in the report

[default]
action = "redact"                # redact | mask | pseudonymise | drop | hold | keep

[entities.NAME]
action = "pseudonymise"

[entities.PHONE]
action = "mask"
keep_last = 0                    # characters that stay readable

[pseudonyms]
key_env = "SECAGG_PSEUDONYM_KEY" # or key_file; parties that share the key share the pseudonyms

[names]
model = true                     # the shipped model
gazetteer = "staff.txt"          # one name a line
spacy = "en_core_web_sm"         # further models, none of which is downloaded: an installed spaCy pipeline or the folder of one,
hugging_face = "models/ner"      # the folder of a token-classification model,
presidio = "analyzer.yaml"       # the configuration of a Presidio engine

[[recogniser]]
entity = "WORK_ORDER"
pattern = "gd-[0-9]{8}"          # canonical text: lower case, plain digits
cues = ["工单", "work order"]
confidence = 0.4                 # a finding from 0.5 on
with_cue = 0.9
checksum = "luhn"                # or "mod_11_2"

[[gazetteer]]
entity = "SITE"
file = "sites.txt"

allow = ["400-820-1234"]         # values that are nobody's, at the top of the file
```
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from secagg.errors import ConfigError

Action = Literal["redact", "mask", "pseudonymise", "drop", "hold", "keep"]
Entity = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z_]{1,30}$")]
_FILE_LIMIT = 1 << 20


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Treatment(_Table):
    """What happens to one entity."""

    action: Action = "redact"
    keep_last: int = Field(default=0, ge=0, le=4)
    shape: Literal["plain", "checksum"] = "plain"


class PseudonymKey(_Table):
    """Where the key is; it never stands in the policy itself."""

    key_env: str = "SECAGG_PSEUDONYM_KEY"
    key_file: str | None = None


class Names(_Table):
    """The sources of names."""

    model: bool = True
    gazetteer: str | None = None
    spacy: str | None = None
    hugging_face: str | None = None
    presidio: str | None = None


class CustomRecogniser(_Table):
    """A recogniser of the user's own."""

    entity: Entity
    pattern: str = Field(min_length=1, max_length=2000)
    cues: tuple[str, ...] = ()
    confidence: float = Field(default=0.8, ge=0, le=1)
    with_cue: float = Field(default=0.0, ge=0, le=1)
    checksum: Literal["luhn", "mod_11_2"] | None = None


class CustomGazetteer(_Table):
    """A list of the user's own."""

    entity: Entity
    file: str


class Policy(_Table):
    """One party's policy; `Policy()` redacts everything that is found."""

    project: str = ""
    party: str = ""
    default: Treatment = Treatment()
    entities: dict[Entity, Treatment] = {}
    threshold: float = Field(default=0.5, gt=0, le=1)
    pseudonyms: PseudonymKey = PseudonymKey()
    names: Names = Names()
    recogniser: tuple[CustomRecogniser, ...] = ()
    gazetteer: tuple[CustomGazetteer, ...] = ()
    allow: tuple[str, ...] = ()
    folder: Path = Path()
    """Where relative paths start; set by `read_policy`."""

    def of(self, entity: str) -> Treatment:
        """The treatment of an entity."""
        return self.entities.get(entity, self.default)

    @property
    def pseudonymises(self) -> bool:
        return any(treatment.action == "pseudonymise" for treatment in (self.default, *self.entities.values()))

    def key(self) -> bytes:
        """The pseudonym key. Raises ConfigError where it is not found."""
        where = self.pseudonyms
        if where.key_file is not None:
            return read_file(self.folder / where.key_file, "the pseudonym key").strip().encode()
        if key := os.environ.get(where.key_env):
            return key.encode()
        raise ConfigError(f"action `pseudonymise` needs a key: set {where.key_env}, or [pseudonyms] key_file, to at least 16 random bytes")


def read_policy(path: str | Path) -> Policy:
    """Read a policy file. Raises ConfigError naming the file, the key and the line."""
    path = Path(path)
    text = read_file(path, "the policy")
    try:
        return Policy.model_validate({**tomllib.loads(text), "folder": path.parent})
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from error
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{path}{_line(text, first['loc'])}: {key}: {first['msg']}") from error


def read_file(path: Path, what: str) -> str:
    """A small UTF-8 file. Raises ConfigError."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{what}: {path}: {error.strerror}") from error
    if len(raw) > _FILE_LIMIT and what == "the policy":
        raise ConfigError(f"{what}: {path}: {len(raw)} bytes, at most {_FILE_LIMIT} are read")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{what}: {path}: byte {error.start} is not UTF-8") from error


def _line(text: str, location: tuple[int | str, ...]) -> str:
    """`, line n` of the last key of `location` that stands in the file."""
    for key in reversed([part for part in location if isinstance(part, str)]):
        for number, line in enumerate(text.splitlines(), 1):
            if re.match(rf"\s*\[*[\w.]*\b{re.escape(key)}\b", line):
                return f", line {number}"
    return ""
