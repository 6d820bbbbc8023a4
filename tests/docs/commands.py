"""Checks a command line that a page shows against the command line that exists: its commands, its options, its file names."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import click

from tests.docs.markdown import Block

CONSOLE = ("console", "sh", "bash", "shell")


def shown(block: Block) -> Iterator[list[str]]:
    """The commands of a shell block, as words. In a `console` block they follow `$ `; the other lines are what they print."""
    joined = block.code.replace("\\\n", " ").splitlines()
    lines = [line.removeprefix("$ ") for line in joined if line.startswith("$ ")] if block.language == "console" else joined
    for line in lines:
        words = shlex.split(line, comments=True)
        while words and "=" in words[0] and words[0].partition("=")[0].isidentifier():
            words = words[1:]
        start = 0
        for end, word in enumerate([*words, ";"]):
            if word in {"&&", "||", ";", "|", "&"}:
                if words[start:end]:
                    yield words[start:end]
                start = end + 1


def objection(root: click.Command, words: list[str]) -> str:
    """Why `words`, without the program's name, is no command of `root`; nothing when it is one."""
    command, at = root, 0
    while at < len(words):
        word, at = words[at], at + 1
        if word == "--":
            break
        if word.startswith("-") and word != "-":
            name, given, _ = word.partition("=")
            option = _option(command, name)
            if option is None:
                return f"`{command.name}` has no option {name}"
            at += 0 if given or option.is_flag or option.count else option.nargs
        elif isinstance(command, click.Group):
            if word not in command.commands:
                return f"`{command.name}` has no command {word}"
            command = command.commands[word]
    return ""


def _option(command: click.Command, name: str) -> click.Option | None:
    if name in {"-h", "--help"}:
        return click.Option(["--help"], is_flag=True)
    options = (parameter for parameter in command.params if isinstance(parameter, click.Option))
    return next((option for option in options if name in (*option.opts, *option.secondary_opts)), None)
