"""`secagg fence`: look through text for blocked phrases, or take them out."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from secagg.cli.options import Json
from secagg.cli.output import FAILED, begin

if TYPE_CHECKING:
    from secagg.filters.fence import Action, Fence

app = typer.Typer(no_args_is_help=True, help="The fence: what is blocked does not come out, however it is spelled.")

_Lists = Annotated[
    list[Path] | None,
    typer.Option("--phrases", "-p", help="Block list, one phrase a line; found in every disguise, short Latin ones as words of their own."),
]
_Words = Annotated[
    list[Path] | None, typer.Option("--words", "-w", help="Block list, one phrase a line; found between word boundaries only.")
]
_Shapes = Annotated[list[str] | None, typer.Option("--shape", "-s", help="Personal numbers: mobile, identity or plate.")]


@app.callback()
def group() -> None:
    """Block lists are UTF-8 text, one phrase a line; lines that begin with # are left out."""


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="Text, one caption or answer a line; - for standard input.")],
    phrases: _Lists = None,
    words: _Words = None,
    shape: _Shapes = None,
    as_json: Json = False,
) -> None:
    """List the lines that hold something blocked: place and rule, never the text. Exit status 1 if there are any."""
    out = begin(as_json)
    fence = _fence(phrases, words, shape)
    lines = _lines(file)
    found = [(number, hit) for number, line in enumerate(lines, 1) for hit in fence.check(line)]
    if found:
        rows = [(number, hit.start + 1, hit.end - hit.start, hit.rule) for number, hit in found]
        out.table(f"{file}: {len(found)} found", ["line", "column", "characters", "rule"], rows)
    else:
        out.say(f"{file}: nothing blocked in {len(lines)} lines")
    for number, hit in found:
        out.record({"line": number, "column": hit.start + 1, "characters": hit.end - hit.start, "rule": hit.rule})
    if found:
        raise typer.Exit(FAILED)


@app.command()
def clean(
    file: Annotated[Path, typer.Argument(help="Text, one caption or answer a line; - for standard input.")],
    phrases: _Lists = None,
    words: _Words = None,
    shape: _Shapes = None,
) -> None:
    """Write the text to standard output with everything blocked redacted."""
    fence = _fence(phrases, words, shape)
    for line in _lines(file):
        typer.echo(fence.apply(line).text)


@app.command()
def build(
    tokenizer: Annotated[Path, typer.Option("--tokenizer", "-t", help="tokenizer.json, the model's folder, or a .tiktoken file.")],
    phrases: _Lists = None,
    words: _Words = None,
    shape: _Shapes = None,
    eos: Annotated[str | None, typer.Option(help="The token that ends a text, by name or id; else as the model's folder says.")] = None,
    cache: Annotated[Path | None, typer.Option(help="Keep what is worked out here, and not in the user's cache folder.")] = None,
    as_json: Json = False,
) -> None:
    """Try the lists on a model's vocabulary, and keep on disk what does not depend on them, so that the next start is quick."""
    from secagg.filters.fence.cache import default_folder
    from secagg.filters.fence.decoding import DecodingFence
    from secagg.filters.fence.files import read_tokenizer

    out = begin(as_json)
    fence = _fence(phrases, words, shape)
    folder = cache or default_folder()
    start = time.perf_counter()
    read = read_tokenizer(tokenizer, eos=eos, cache=folder)
    decoding = DecodingFence(fence, read.vocabulary, eos=read.eos, cache=folder)
    took = time.perf_counter() - start
    facts = {
        "tokens": len(read.vocabulary.tokens),
        "end": " ".join(map(str, read.eos)),
        "phrases": fence.phrases,
        "forbidden everywhere": len(decoding.always),
        "seconds": round(took, 2),
        "cache": str(folder),
    }
    out.table(f"{tokenizer}: can be fenced", ["what", "value"], [(name, str(value)) for name, value in facts.items()])
    out.record(facts)


@app.command()
def serve(
    upstream: Annotated[str, typer.Option("--upstream", "-u", help="The model server, up to and with /v1.")],
    phrases: _Lists = None,
    words: _Words = None,
    shape: _Shapes = None,
    action: Annotated[str, typer.Option(help="redact, replace or refuse.")] = "redact",
    say: Annotated[str | None, typer.Option(help="What replaces, or refuses.")] = None,
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Where to listen; 0 takes a free one.")] = 8080,
    review: Annotated[
        Path | None, typer.Option(help="Review log: a line a hit, with a keyed hash. The key is beside it, as FILE.key.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Stand in front of an OpenAI-compatible server: every answer passes the fence. Counters are at /metrics."""
    from secagg.errors import ConfigError

    try:
        from secagg.adapters.openai_proxy import Proxy
        from secagg.adapters.serving import listen
    except ImportError as error:
        raise ConfigError("serving needs httpx, starlette and uvicorn: pip install 'secagg[serve]'") from error
    from secagg.filters.fence.monitor import Monitor
    from secagg.filters.fence.review import ReviewLog, read_key

    out = begin(as_json)
    fence = _fence(phrases, words, shape, action, say)
    log = ReviewLog(review, read_key(f"{review}.key")) if review else None
    proxy = Proxy(fence, upstream, monitor=Monitor(fence, log=log))

    def ready(address: str) -> None:
        out.say(f"Listening on {address}/v1, in front of {upstream}; {fence.phrases} phrases; counters at {address}/metrics.")
        out.record({"listening": f"{address}/v1", "upstream": upstream, "phrases": fence.phrases})

    listen(proxy.app(), host, port, ready)


def _fence(
    phrases: list[Path] | None, words: list[Path] | None, shapes: list[str] | None, action: str = "redact", say: str | None = None
) -> Fence:
    from secagg.errors import ConfigError
    from secagg.filters.fence import Fence, Phrases, Rule, Shape

    rules: list[Rule] = [
        *(Phrases.read(path) for path in phrases or ()),
        *(Phrases.read(path, policy="word") for path in words or ()),
        *map(Shape, shapes or ()),
    ]
    if not rules:
        raise ConfigError("nothing to block: name a list with --phrases or --words, or a --shape")
    said = {} if say is None else {"refusal" if action == "refuse" else "replacement": say}
    return Fence(*rules, action=cast("Action", action), **said)  # an unknown action is refused by the fence


def _lines(path: Path) -> list[str]:
    from secagg.errors import ConfigError

    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    return text.removesuffix("\n").split("\n")
