#!/usr/bin/env python3
"""Makes the environment of this repository and runs what is asked in it.

    python3 dev.py demo [...]     three companies train one model on this machine; the arguments of `secagg demo`
    python3 dev.py test [...]     the tests; the arguments of pytest
    python3 dev.py quick          the developer's loop: format, lint, types, import contracts, fast tests
    python3 dev.py env            make or refresh the environment, and print where it is
    python3 dev.py proto          regenerate secagg/wire/v1 from proto/
    python3 dev.py checks         regenerate docs/checks.md from the source
    python3 dev.py run PROGRAM    any program of the environment, for example `run secagg --help`

It needs Python 3.11 or newer and nothing else. The environment is `.venv` beside this file, installed from constraints.txt;
a second run finds it ready. Variables:

    SECAGG_VENV          another folder for the environment
    SECAGG_TORCH_INDEX   an additional package index for a CPU-only torch; none is asked unless this is set
"""

# This file parses on Python 3.8, so that an old interpreter gets a sentence rather than a SyntaxError.
from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, TextIO

ROOT = Path(__file__).resolve().parent
ENV = Path(os.environ.get("SECAGG_VENV") or ROOT / ".venv").absolute()
BIN = ENV / "bin"
STAMP = ENV / "secagg-environment.json"
LOG = ENV / "install.log"

COMMANDS = ("demo", "test", "quick", "env", "proto", "checks", "run")
EXTRAS = ("ckks", "demo", "dev", "dp", "flower", "ner", "nvflare", "ray", "serve", "text")
QUICK = ("ruff format --check", "ruff check", "mypy", "lint-imports", "pytest -q -x -m 'not slow and not network'")


class Stop(Exception):
    """The environment cannot be made; the message says why and what to do."""


def main(argv: list[str]) -> int:
    command, rest = (argv[0], argv[1:]) if argv else ("help", [])
    if command in ("help", "-h", "--help"):
        print(__doc__)
        return 0
    if command not in COMMANDS or (command == "run" and not rest):
        print(f"dev.py: `{' '.join(argv)}` is no command; `python3 dev.py help` lists them", file=sys.stderr)
        return 2
    try:
        prepare(wanted(command, rest))
        return hand_over(command, rest)
    except Stop as stop:
        print(f"\n{stop}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. The next run makes good what this one left unfinished.", file=sys.stderr)
        return 130


def wanted(command: str, rest: list[str]) -> set[str]:
    """The extras that `command` needs: the demo alone brings no tools, and the text model only when it is named."""
    if command == "demo":
        return {"demo", *(["text"] if any("text" in word for word in rest) else []), *(["dp"] if "--dp" in rest else [])}
    return set(EXTRAS)


def hand_over(command: str, rest: list[str]) -> int:
    """Runs the command in the finished environment."""
    python = str(BIN / "python")
    if command == "env":
        print(ENV)
        return 0
    if command == "quick":
        return quick()
    if command == "run":
        return become(rest, Path.cwd())
    if command == "demo":
        return become([python, str(BIN / "secagg"), "demo", *rest], Path.cwd())
    program = {"test": ["-m", "pytest"], "proto": ["proto/generate.py"], "checks": ["-m", "tests.repository.checks"]}[command]
    return become([python, *program, *rest], ROOT)


def quick() -> int:
    """Runs every stage, and fails if one of them did."""
    failed = 0
    for stage in QUICK:
        began = time.monotonic()
        status = subprocess.call(shlex.split(stage), cwd=ROOT, env=surroundings())
        failed += status != 0
        print(f"{'FAILED' if status else 'ok'}  {stage}  ({time.monotonic() - began:.1f} s)\n", flush=True)
    return 1 if failed else 0


def become(words: list[str], folder: Path) -> int:
    """Replaces this process by a program of the environment: its exit status and its Ctrl-C are its own."""
    variables = surroundings()
    program = shutil.which(words[0], path=variables["PATH"])
    if program is None:
        print(f"dev.py: no program {words[0]} in {BIN} or on PATH", file=sys.stderr)
        return 127
    os.chdir(folder)
    os.execve(program, words, variables)


def surroundings() -> dict[str, str]:
    """The variables of a program that runs in ENV, without those that would mix another installation into it."""
    foreign = ("PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_PREFIX", "PIP_USER")
    variables = {name: value for name, value in os.environ.items() if name not in foreign}
    return {**variables, "VIRTUAL_ENV": str(ENV), "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}", "PYTHONNOUSERSITE": "1"}


def prepare(extras: set[str]) -> None:
    """Leaves an environment with `extras` in ENV. Only a finished one is stamped so; an interrupted one is made anew."""
    if sys.version_info < (3, 11):
        raise Stop(
            f"secagg needs Python 3.11 or newer, and this is {sys.version.split()[0]}: run dev.py with a newer one, as `python3.12 dev.py`."
        )
    if os.name != "posix":
        raise Stop("dev.py runs on Linux and macOS; on Windows use it inside WSL.")
    if ready(extras):
        return
    with Path(__file__).open(encoding="utf-8") as this_file:
        wait_for_turn(this_file)
        if ready(extras):
            return
        began = time.monotonic()
        stamp = read_stamp()
        if stamp.get("made by") == maker():
            extras = extras.union(stamp["extras"])
            STAMP.write_text(json.dumps({"unfinished": True}), encoding="utf-8")
        else:
            create()
        install(sorted(extras))
        write_stamp(sorted(extras))
        say(f"ready after {time.monotonic() - began:.0f} s\n")


def maker() -> str:
    """What an environment does not outlive: the interpreter, and the folders that its files name."""
    return f"Python {sys.version_info[0]}.{sys.version_info[1]} of {sys.base_prefix} for {ROOT} in {ENV}"


def requirements() -> str:
    """A digest of what is to be installed; the settings of tools do not count."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    asked = json.dumps([project["build-system"], project["project"]], sort_keys=True)
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    return hashlib.sha256(f"{asked}{pins}".encode()).hexdigest()


def ready(extras: set[str]) -> bool:
    stamp = read_stamp()
    same = stamp.get("made by") == maker() and stamp.get("requirements") == requirements()
    return same and extras.issubset(stamp["extras"]) and (BIN / "python").exists()


def read_stamp() -> dict[str, Any]:
    try:
        return dict(json.loads(STAMP.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def write_stamp(extras: list[str]) -> None:
    STAMP.write_text(json.dumps({"made by": maker(), "requirements": requirements(), "extras": extras}, indent=1), encoding="utf-8")


def wait_for_turn(this_file: TextIO) -> None:
    """Two commands in one checkout: the second waits until the first has installed. The lock ends with its process."""
    import fcntl

    try:
        fcntl.flock(this_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        say("waiting for another dev.py, which is installing\n")
        fcntl.flock(this_file, fcntl.LOCK_EX)


def create() -> None:
    """Makes an environment that holds pip, in the first of three ways that works: Debian ships Python without the usual one."""
    if ENV.exists() and not STAMP.exists() and any(ENV.iterdir()):
        raise Stop(f"{ENV} exists and was not made by dev.py: remove it, or set SECAGG_VENV to another folder.")
    outer, inner = [sys.executable, "-m"], str(BIN / "python")
    ways = (
        [[*outer, "venv", str(ENV)]],
        [[*outer, "virtualenv", "--quiet", str(ENV)]],
        [[*outer, "venv", "--without-pip", str(ENV)], [*outer, "pip", "--python", inner, "install", "--quiet", "pip"]],
    )
    reasons = []
    say(f"making the environment {ENV}\n")
    for way in ways:
        shutil.rmtree(ENV, ignore_errors=True)
        ENV.mkdir(parents=True)
        STAMP.write_text(json.dumps({"unfinished": True}), encoding="utf-8")
        failure = first_failure([*way, [inner, "-m", "pip", "--version"]])
        if not failure:
            return
        reasons.append(failure)
    shutil.rmtree(ENV, ignore_errors=True)
    tried, version = "\n  ".join(reasons), f"{sys.version_info[0]}.{sys.version_info[1]}"
    raise Stop(
        f"{sys.executable} can make no environment; tried\n  {tried}\n"
        "Install what is missing and run the same command again: on Debian and Ubuntu `apt install "
        f"python{version}-venv`, elsewhere `{sys.executable} -m pip install --user virtualenv`, or another Python {version}."
    )


def first_failure(commands: list[list[str]]) -> str:
    """Runs the commands in turn; the one that failed with its last words, or nothing."""
    for command in commands:
        try:
            done = subprocess.run(command, env=surroundings(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        except OSError as missing:
            return f"{' '.join(command)}: {missing.strerror}"
        if done.returncode:
            return f"{' '.join(command)}: {(done.stdout.split(chr(10), 1)[0] or 'no output').strip()}"
    return ""


def install(extras: list[str]) -> None:
    """Installs the project, editable, with `extras` under constraints.txt, and tells which package is on its way."""
    command = [str(BIN / "python"), "-m", "pip", "install", "--no-input", "--progress-bar", "off", "-c", str(ROOT / "constraints.txt")]
    index = os.environ.get("SECAGG_TORCH_INDEX")
    command += ["--extra-index-url", index] if index else []
    command += ["-e", f"{ROOT}[{','.join(extras)}]"]
    say(f"installing secagg[{','.join(extras)}] from constraints.txt (what pip says: {LOG})\n")
    pip = subprocess.Popen(command, env=surroundings(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    with pip, LOG.open("w", encoding="utf-8") as log, Progress() as progress:
        try:
            for line in pip.stdout or ():
                log.write(line)
                progress.tell(line.strip())
        except BaseException:
            pip.terminate()
            raise
    if pip.returncode:
        said = "\n  ".join(LOG.read_text(encoding="utf-8").strip().splitlines()[-12:])
        raise Stop(
            f"The installation failed (pip ended with {pip.returncode}):\n  {said}\n\n"
            "No network or a proxy: set HTTPS_PROXY, or `pip config set global.index-url …` to an index that you reach.\n"
            "No space left: SECAGG_VENV puts the environment elsewhere; it takes 2 GB, and several more with a CUDA build of torch.\n"
            "No such torch: constraints.txt names the tested version; SECAGG_TORCH_INDEX adds an index that has it.\n"
            "Then run the same command again: pip keeps what it has downloaded."
        )


class Progress:
    """Tells what pip is at and for how long: one line redrawn on a terminal, elsewhere a line for each download."""

    STEPS = ("Collecting", "Downloading", "Processing", "Installing", "Building", "Preparing")

    def __init__(self) -> None:
        self._terminal, self._began, self._step = sys.stderr.isatty(), time.monotonic(), "asking the package index"
        self._over = threading.Event()
        self._drawing = threading.Thread(target=self._draw, daemon=True)

    def __enter__(self) -> Progress:
        if self._terminal:
            self._drawing.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._terminal:
            self._drawing.join()
            say("\r\x1b[K")

    def tell(self, line: str) -> None:
        if line.startswith(self.STEPS):
            self._step = line
            if not self._terminal and not line.startswith("Collecting"):
                say(f"  {self._line(98)}\n")

    def _draw(self) -> None:
        while not self._over.wait(0.2):
            say(f"\r\x1b[K  {self._line(shutil.get_terminal_size().columns - 3)}")

    def _line(self, width: int) -> str:
        return f"{time.monotonic() - self._began:4.0f} s  {self._step}"[:width]


def say(text: str) -> None:
    print(text, end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
