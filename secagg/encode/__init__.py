"""From named tensors to ring words and back: `Layout` fixes the order, `Encoding` the numbers, `Quantiser` does the work."""

from __future__ import annotations

from secagg.encode.encoding import Encoding
from secagg.encode.layout import Layout
from secagg.encode.quantise import Decoded, Quantiser, Update
from secagg.encode.weights import Examples, Uniform, WeightPolicy

__all__ = ["Decoded", "Encoding", "Examples", "Layout", "Quantiser", "Uniform", "Update", "WeightPolicy"]
