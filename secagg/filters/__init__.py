"""Privacy filters: the sanitiser of training captions and the fence around generation. They share one canonical text."""

from __future__ import annotations
