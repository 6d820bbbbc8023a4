"""Writes `secagg/wire/v1/*_pb2.py` and `.pyi` from the schema beside this file: `python3 dev.py proto`."""

from __future__ import annotations

import argparse
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

PROTO = Path(__file__).resolve().parent
ROOT = PROTO.parent
SCHEMA = "secagg/wire/v1"


def generate(into: Path) -> list[Path]:
    """Compiles every schema file into `into` and returns the paths written, relative to it and sorted."""
    sources = sorted((PROTO / SCHEMA).glob("*.proto"))
    if not sources:
        return []
    into.mkdir(parents=True, exist_ok=True)
    well_known = files("grpc_tools") / "_proto"
    arguments = [f"-I{PROTO}", f"-I{well_known}", f"--python_out={into}", f"--pyi_out={into}"]
    names = [str(source.relative_to(PROTO)) for source in sources]
    # In a process of its own: once the compiler is loaded, TenSEAL, which brings a protobuf too, does not load any more.
    if subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *arguments, *names], cwd=PROTO, check=False).returncode:
        raise SystemExit("protoc refused the schema; its message is above")
    return [Path(SCHEMA) / f"{source.stem}_pb2{suffix}" for source in sources for suffix in (".py", ".pyi")]


def stale(fresh: Path, committed: Path = ROOT) -> list[str]:
    """The generated files under `committed` that differ from `fresh`, are missing, or have no schema any more."""
    expected = generate(fresh)
    differ = [
        path for path in expected if not (committed / path).is_file() or (committed / path).read_bytes() != (fresh / path).read_bytes()
    ]
    present = {path.relative_to(committed) for path in (committed / SCHEMA).glob("*_pb2.py*")}
    return sorted(str(path) for path in {*differ, *present.difference(expected)})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, default=ROOT, help="root of the tree to write to (default: this repository)")
    written = generate(parser.parse_args().into)
    print(f"{len(written)} files written from {len(written) // 2} schemas")
    return 0


if __name__ == "__main__":
    sys.exit(main())
