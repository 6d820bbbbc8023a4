"""Privacy filters: the sanitiser of training captions and the fence around generation. They share one canonical text.

```
caption ─ views ─ recognisers ┐
        └──────── names       ├─ findings ─ policy ─ redact | mask | pseudonymise | drop | hold ─ caption, report
                  gazetteers  ┘
```
"""

from __future__ import annotations

from secagg.filters.finding import Finding
from secagg.filters.policy import Policy
from secagg.filters.sanitizer import Sanitized, Sanitizer

__all__ = ["Finding", "Policy", "Sanitized", "Sanitizer"]
