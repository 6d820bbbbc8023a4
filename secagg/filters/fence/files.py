"""A model's vocabulary from its files, without the model: tokenizer.json, a folder that holds it, or a tiktoken file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from secagg.errors import ConfigError
from secagg.filters.fence.tokens import Vocabulary

_SAYS_EOS = ("generation_config.json", "config.json", "tokenizer_config.json")


class Read(NamedTuple):
    """A vocabulary and the ids that end a text."""

    vocabulary: Vocabulary
    eos: tuple[int, ...]


def read_tokenizer(path: Path, *, eos: str | None = None, cache: Path | None = None) -> Read:
    """Read a vocabulary.

    Args:
        path: `tokenizer.json`, a folder that holds it, or a `.tiktoken` file.
        eos: the token that ends a text, by name or id. Without it, what the files beside `tokenizer.json` say; for a tiktoken file, the id
            after the last one, which is where its special tokens begin.
        cache: a folder that keeps the vocabulary once it is checked.

    Raises:
        ConfigError: a file that cannot be read, a tokenizer that cannot be fenced, or no end of the sequence.
    """
    if path.suffix == ".tiktoken":
        vocabulary = Vocabulary.tiktoken(path, specials=1)
        return Read(vocabulary, (_number(eos, {}, path) if eos else len(vocabulary.tokens) - 1,))
    file = path / "tokenizer.json" if path.is_dir() else path
    tokenizer = _tokenizer(file)
    vocabulary = Vocabulary.of(tokenizer, cache=cache)
    names: dict[str, int] = tokenizer.get_vocab(with_added_tokens=True)
    said = [eos] if eos else _said(file.parent)
    if not said:
        raise ConfigError(f"{file}: nothing beside it says which token ends a text; name it with eos (--eos)")
    return Read(vocabulary, tuple(_number(one, names, file) for one in said))


def _tokenizer(file: Path) -> Any:  # noqa: ANN401  # tokenizers is optional
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise ConfigError("reading a tokenizer needs tokenizers: pip install 'secagg[train]'") from error
    if not file.is_file():
        raise ConfigError(f"{file}: there is no such file; name tokenizer.json, a folder that holds it, or a .tiktoken file")
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # tokenizers raises bare Exception
        raise ConfigError(f"{file}: {error}") from error


def _said(folder: Path) -> list[str | int]:
    """The end of the sequence as the first file that names one does."""
    for name in _SAYS_EOS:
        try:
            described = json.loads((folder / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise ConfigError(f"{folder / name}: {error}") from error
        end = described.get("eos_token_id", described.get("eos_token"))
        end = end.get("content") if isinstance(end, dict) else end
        if end is not None:
            return end if isinstance(end, list) else [end]
    return []


def _number(token: str | int, names: dict[str, int], file: Path) -> int:
    if isinstance(token, int):
        return token
    if token in names:
        return names[token]
    if token.isdecimal():
        return int(token)
    raise ConfigError(f"{file} has no token {token!r} to end a text with")
