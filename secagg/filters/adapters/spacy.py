"""spaCy's entity recognition as a source of names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from secagg.errors import ConfigError
from secagg.filters.adapters.stretches import PERSONS, Span, as_source
from secagg.filters.detector import Source


def from_spacy(pipeline: str | Path | Any, *, labels: Mapping[str, str] = PERSONS, confidence: float = 0.7) -> Source:  # noqa: ANN401
    """A source from an installed pipeline (`en_core_web_sm`), the folder of one, or a `spacy.Language` made by the caller.

    `labels` maps spaCy's labels to entities; others are left out. spaCy gives no confidence: every finding has `confidence`.

    Raises:
        ConfigError: spaCy or the pipeline is not installed, or it labels no entities.
    """
    nlp = _load(pipeline) if isinstance(pipeline, str | Path) else pipeline
    if not {"ner", "entity_ruler", "transformer", "span_ruler"} & set(nlp.pipe_names):
        raise ConfigError(
            f"the spaCy pipeline {nlp.meta.get('name', '')!r} labels no entities: it has {', '.join(nlp.pipe_names) or 'no parts'}"
        )

    def read(text: str) -> Iterator[Span]:
        return (Span(entity.start_char, entity.end_char, entity.label_, confidence) for entity in nlp(text).ents)

    return as_source(read, "names spacy", labels)


def _load(pipeline: str | Path) -> Any:  # noqa: ANN401
    try:
        import spacy
    except ImportError as error:
        raise ConfigError("names from spaCy need it: pip install 'secagg[ner]'") from error
    try:
        return spacy.load(pipeline)
    except (OSError, ValueError, ImportError) as error:
        raise ConfigError(
            f"spaCy has no pipeline {str(pipeline)!r}: install it as a package, or name its folder; none is downloaded"
        ) from error
