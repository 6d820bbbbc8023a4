"""The sanitiser as a recogniser of Presidio's. Imports Presidio: `presidio.presidio_recognisers` gives it out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from presidio_analyzer import AnalysisExplanation, EntityRecognizer, RecognizerResult

import secagg
from secagg.filters.recognisers import ENTITIES
from secagg.filters.sanitizer import Sanitizer


class SecaggRecognizer(EntityRecognizer):  # type: ignore[misc]  # Presidio has no types
    """Everything that a sanitiser finds, under Presidio's names."""

    def __init__(self, sanitizer: Sanitizer, language: str, names: Mapping[str, str]) -> None:
        self._sanitizer, self._names = sanitizer, names
        policy = sanitizer.policy
        own = [*(one.entity for one in policy.recogniser), *(one.entity for one in policy.gazetteer)]
        entities = [names.get(entity, entity) for entity in dict.fromkeys([*ENTITIES, *own])]
        super().__init__(entities, name=f"secagg {language}", supported_language=language, version=secagg.__version__)

    def load(self) -> None:
        """Nothing to load: the sanitiser came loaded."""

    def analyze(self, text: str, entities: list[str], nlp_artifacts: Any = None) -> list[RecognizerResult]:  # noqa: ANN401
        """Findings of the entities asked for."""
        return [
            RecognizerResult(
                entity_type=self._names.get(one.entity, one.entity),
                start=one.start,
                end=one.end,
                score=one.confidence,
                analysis_explanation=AnalysisExplanation(
                    recognizer=self.name, original_score=one.confidence, pattern_name=one.rule, textual_explanation=None
                ),
                recognition_metadata={
                    RecognizerResult.RECOGNIZER_NAME_KEY: self.name,
                    RecognizerResult.RECOGNIZER_IDENTIFIER_KEY: self.id,
                },
            )
            for one in self._sanitizer.find(text)
            if not entities or self._names.get(one.entity, one.entity) in entities
        ]
