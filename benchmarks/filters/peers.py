"""Peers of the sanitiser, as they run without a download at run time."""

from __future__ import annotations

import tempfile
from typing import Any


def presidio() -> Any:
    """Presidio's analyser with all its own recognisers for English over a blank spaCy pipeline: its model of names is a download."""
    import spacy
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NlpEngineProvider

    with tempfile.TemporaryDirectory() as folder:
        spacy.blank("en").to_disk(folder)
        models = [{"lang_code": "en", "model_name": folder}]
        nlp = NlpEngineProvider(nlp_configuration={"nlp_engine_name": "spacy", "models": models}).create_engine()
        return AnalyzerEngine(nlp_engine=nlp, supported_languages=["en"])
