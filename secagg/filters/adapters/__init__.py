"""Other tools beside the sanitiser: their models as additional sources of names, and its recognisers inside Presidio.

```
spaCy pipeline ──── from_spacy ────────┐
Hugging Face NER ── from_hugging_face ─┼─ sources=[…] ─ Sanitizer ─ PresidioRecogniser ─ Presidio's AnalyzerEngine
Presidio engine ─── from_presidio ─────┘
```
Nothing here downloads a model: what is not installed or not in the folder named is refused. A policy file names them under `[names]`.
"""

from __future__ import annotations

from secagg.filters.adapters.hugging_face import from_hugging_face
from secagg.filters.adapters.presidio import from_presidio
from secagg.filters.adapters.spacy import from_spacy

__all__ = ["from_hugging_face", "from_presidio", "from_spacy"]
