"""The fence: a blocked phrase does not come out, however it is spelled, tokenised or cut into chunks.

```
rules ──> alphabet ──> automaton, shapes ──> fence   (text)
                                         ├─> stream  (text as it is generated)
                                         └─> rows ──> processor   (logits, before a token is chosen)
```
"""

from __future__ import annotations

from secagg.filters.fence.fence import Action, Fence, Fenced, Hit
from secagg.filters.fence.rules import Phrases, Policy, Rule, Shape
from secagg.filters.fence.stream import StreamFilter

__all__ = ["Action", "Fence", "Fenced", "Hit", "Phrases", "Policy", "Rule", "Shape", "StreamFilter"]
