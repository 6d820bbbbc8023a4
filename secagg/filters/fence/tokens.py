"""What each token says: the bytes it adds to the text, for the three families of tokenizers, and a check that they are right.

| family | a token's bytes |
|---|---|
| byte-level BPE (GPT-2, Qwen, Llama 3) | each letter of the token stands for one byte |
| SentencePiece (Llama 2, Gemma, T5) | `▁` is a blank, `<0xE4>` is that byte |
| WordPiece (BERT) and CLIP | `##x` goes on, other tokens begin with a blank; `x</w>` ends with one |
| whole words, without a decoder | each begins with a blank |
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from secagg.errors import ConfigError
from secagg.filters.fence.cache import key, packed, read, unpacked, write

_BYTE = re.compile(r"<0x([0-9A-F]{2})>")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Bytes by token id; None for a special token, which says nothing, and for an id without token."""

    tokens: tuple[bytes | None, ...]

    @classmethod
    def of(cls, tokenizer: Any, *, cache: Path | None = None) -> Vocabulary:  # noqa: ANN401  # transformers and tokenizers are optional
        """Of a fast tokenizer of transformers or a `tokenizers.Tokenizer`, checked against what it decodes; in a `cache`, checked once.

        Raises:
            ConfigError: a tokenizer of none of the families, or one that decodes otherwise than its family does.
        """
        backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
        if not hasattr(backend, "to_str"):
            raise ConfigError(f"{type(tokenizer).__name__} has no description to read: use the fast tokenizer, or Vocabulary.tiktoken")
        description = backend.to_str()
        name = key(b"vocabulary", description.encode()) if cache else ""
        if cache and (kept := read(cache, name)) is not None:
            return cls(tuple(unpacked(kept)))
        described = json.loads(description)
        added = {token["id"]: None if token["special"] else token["content"].encode() for token in described["added_tokens"]}
        vocabulary = cls._from(backend.get_vocab(with_added_tokens=False), _family(described), added)
        vocabulary.verify(backend)
        if cache:
            write(cache, name, packed(vocabulary.tokens))
        return vocabulary

    @classmethod
    def tiktoken(cls, path: Path | str, *, specials: int = 0) -> Vocabulary:
        """Of a tiktoken file: a token in base64 and its id a line; `specials` ids without text follow.

        Raises:
            ConfigError: the file cannot be read or is no such file.
        """
        try:
            rows = (line.split() for line in Path(path).read_bytes().splitlines() if line)
            by_id = {int(index): base64.b64decode(token, validate=True) for token, index in rows}
        except (OSError, ValueError, binascii.Error) as error:
            raise ConfigError(f"tiktoken file {path}: {error}") from error
        return cls((*(by_id.get(index) for index in range(max(by_id, default=-1) + 1)), *[None] * specials))

    @classmethod
    def _from(cls, vocab: Mapping[str, int], family: str, added: Mapping[int, bytes | None]) -> Vocabulary:
        said: list[bytes | None] = [None] * (max([*vocab.values(), *added]) + 1)
        letters = _byte_letters()
        for token, index in vocab.items():
            said[index] = _bytes(token, family, letters)
        for index, content in added.items():
            said[index] = content
        return cls(tuple(said))

    def text(self, ids: Iterable[int]) -> str:
        """What a sequence of tokens says."""
        return b"".join(self.tokens[index] or b"" for index in ids).decode("utf-8", "replace")

    def verify(self, tokenizer: Any, *, length: int = 64) -> None:  # noqa: ANN401
        """Decode sequences that hold every token, in a scattered order, and compare.

        Raises:
            ConfigError: the tokenizer says something else: its family is not the one taken, and the fence would not hold.
        """
        count = len(self.tokens)
        stride = next(step for step in range(int(count * 0.618) | 1, 2 * count + 3, 2) if _coprime(step, count))
        order = [index * stride % count for index in range(count)]
        for at in range(0, count, length):
            ids = [index for index in order[at : at + length] if self.tokens[index] is not None]
            said = tokenizer.decode(ids, skip_special_tokens=True)
            if _bare(said) != _bare(self.text(ids)):
                raise ConfigError(f"the tokenizer decodes tokens {ids[:4]}… otherwise than its family does: it cannot be fenced")


def _family(described: Mapping[str, Any]) -> str:
    decoder = json.dumps(described["decoder"])
    if described["model"].get("end_of_word_suffix") == "</w>":
        return "clip"
    if described["model"]["type"] == "WordLevel" and described["decoder"] is None:
        return "words"
    if '"WordPiece"' in decoder:
        return "wordpiece"
    if '"ByteFallback"' in decoder or '"Metaspace"' in decoder:
        return "sentencepiece"
    if '"ByteLevel"' in decoder:
        return "bytes"
    raise ConfigError("the tokenizer is none of byte-level BPE, SentencePiece, WordPiece and CLIP: it cannot be fenced")


def _bytes(token: str, family: str, letters: Mapping[str, int]) -> bytes:
    match family:
        case "sentencepiece":
            byte = _BYTE.fullmatch(token)
            return bytes([int(byte[1], 16)]) if byte else token.replace("▁", " ").encode()
        case "words":
            return f" {token}".encode()
        case "wordpiece":
            return (token[2:] if token.startswith("##") else f" {token}").encode()
        case "clip" if token.endswith("</w>"):
            return bytes(letters[letter] for letter in token[:-4]) + b" "
    if unknown := next((letter for letter in token if letter not in letters), None):
        raise ConfigError(f"a token holds {unknown!r}, which stands for no byte: this is no byte-level vocabulary")
    return bytes(letters[letter] for letter in token)


def _byte_letters() -> dict[str, int]:
    """GPT-2's letters for bytes: printable Latin-1 for itself, the others from U+0100 on, in order."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {chr(byte): byte for byte in shown} | {chr(256 + place): byte for place, byte in enumerate(hidden)}


def _bare(text: str) -> str:
    """Blanks are cleaned up, broken characters counted, and the sign of a first WordPiece kept, in each tokenizer's own way."""
    return "".join(text.replace("\ufffd", "").removeprefix("##").split())


def _coprime(a: int, b: int) -> bool:
    while b:
        a, b = b, a % b
    return a == 1
