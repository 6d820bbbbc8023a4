"""Presidio, both ways: its engine as a source of names, and the sanitiser's findings inside its engine.

```python
from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
from secagg.filters.adapters.presidio import presidio_recognisers

registry = RecognizerRegistry(recognizers=presidio_recognisers(), supported_languages=["en"])
```
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from secagg.errors import ConfigError
from secagg.filters.adapters.stretches import Span, as_source
from secagg.filters.detector import Source
from secagg.filters.sanitizer import Sanitizer

STANDARD_NAMES: Mapping[str, str] = {
    "NAME": "PERSON",
    "PHONE": "PHONE_NUMBER",
    "EMAIL": "EMAIL_ADDRESS",
    "BANK_CARD": "CREDIT_CARD",
    "SOCIAL_SECURITY": "US_SSN",
    "GPS": "LOCATION",
}
"""Entities that Presidio has a name of its own for; others keep ours."""


def presidio_recognisers(
    sanitizer: Sanitizer | None = None, *, languages: Sequence[str] = ("en",), names: Mapping[str, str] = STANDARD_NAMES
) -> list[Any]:
    """Recognisers for `RecognizerRegistry`, one for each language; what `sanitizer` (default: `Sanitizer()`) finds, Presidio then finds.

    The recognisers read both languages whatever the language of a request; `names` renames entities.

    Raises:
        ConfigError: presidio-analyzer is not installed.
    """
    _presidio()
    from secagg.filters.adapters.presidio_recogniser import SecaggRecognizer

    sanitizer = sanitizer or Sanitizer()
    return [SecaggRecognizer(sanitizer, language, names) for language in languages]


def from_presidio(engine: str | Path | Any, *, labels: Mapping[str, str] | None = None) -> Source:  # noqa: ANN401
    """A source from an `AnalyzerEngine`, or from the YAML file that configures one. By default only its persons are asked for.

    Raises:
        ConfigError: presidio-analyzer is not installed, the file configures no engine, or a model it names is not installed.
    """
    wanted = labels or {"PERSON": "NAME"}
    analyzer = _configured(Path(engine)) if isinstance(engine, str | Path) else engine

    def read(text: str) -> Iterator[Span]:
        for language in analyzer.supported_languages:
            for one in analyzer.analyze(text, language=language, entities=list(wanted)):
                yield Span(one.start, one.end, one.entity_type, one.score)

    return as_source(read, "names presidio", wanted)


def _configured(path: Path) -> Any:  # noqa: ANN401
    presidio = _presidio()
    import yaml

    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
        nlp = settings["nlp_configuration"]
        models = [str(model["model_name"]) for model in nlp["models"]]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path}: configures no Presidio engine with nlp_configuration and its models ({type(error).__name__})"
        ) from error
    if nlp.get("nlp_engine_name") != "spacy":
        raise ConfigError(f"{path}: nlp_engine_name is {nlp.get('nlp_engine_name')!r}; only spacy loads without a download: pass an engine")
    _refuse_missing(path, models)
    try:
        return presidio.AnalyzerEngineProvider(analyzer_engine_conf_file=path).create_engine()
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise ConfigError(f"{path}: Presidio refuses it: {error}") from error


def _refuse_missing(path: Path, models: Sequence[str]) -> None:
    """Presidio downloads what it misses; here nothing is."""
    import spacy

    for model in models:
        if not (spacy.util.is_package(model) or Path(model).is_dir()):
            raise ConfigError(f"{path}: the spaCy pipeline {model!r} is not installed, and none is downloaded")


def _presidio() -> Any:  # noqa: ANN401
    try:
        import presidio_analyzer
    except ImportError as error:
        raise ConfigError("Presidio is not installed: pip install 'secagg[ner]'") from error
    return presidio_analyzer
