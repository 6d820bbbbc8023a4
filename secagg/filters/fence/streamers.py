"""Streamers of transformers with the fence in them: what is shown while a model writes is filtered before anybody sees it.

streamer = FencedTextIteratorStreamer(fence, tokenizer, skip_prompt=True)
Thread(target=model.generate, kwargs={**inputs, "streamer": streamer}).start()
for text in streamer:
    print(text, end="")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transformers import TextIteratorStreamer, TextStreamer

from secagg.filters.fence.fence import Fence
from secagg.filters.fence.stream import StreamFilter

if TYPE_CHECKING:
    from secagg.filters.fence.monitor import Monitor


class _Fenced:
    """Between a streamer and whoever reads it; the next text of the same streamer begins anew."""

    def __init__(self, fence: Fence, tokenizer: Any, *args: Any, monitor: Monitor | None = None, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(tokenizer, *args, **kwargs)  # type: ignore[call-arg]  # a streamer stands behind
        self.fence, self.monitor = fence, monitor
        self.filter = self._begin()

    def _begin(self) -> StreamFilter:
        return StreamFilter(self.fence, seen=None if self.monitor is None else self.monitor.hit)

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:  # as transformers calls it
        """Pass on what no blocked phrase can claim any more."""
        out = self.filter.feed(text)
        if self.monitor is not None:
            self.monitor.held(self.filter.holding)
        if stream_end:
            out += self.filter.flush()
            if self.monitor is not None:
                self.monitor.text(len(self.filter.hits), refused=self.filter.refused)
            self.filter = self._begin()
        if out or stream_end:
            super().on_finalized_text(out, stream_end)  # type: ignore[misc]


class FencedTextStreamer(_Fenced, TextStreamer):
    """`transformers.TextStreamer`, filtered: `FencedTextStreamer(fence, tokenizer, skip_prompt=…, …)`."""


class FencedTextIteratorStreamer(_Fenced, TextIteratorStreamer):
    """`transformers.TextIteratorStreamer`, filtered: `FencedTextIteratorStreamer(fence, tokenizer, skip_prompt=…, timeout=…, …)`."""
