"""What privacy costs in utility: the demo's private training at several ε, beside the same training without noise.

`python -m benchmarks.utility` trains the street scenes of `secagg demo --dp` once for each ε and seed: the same records, model, steps,
batches and rates, DP-SGD in each company, and the mean in the clear, which differs from the opened one by the rounding to 16 bits alone.
Each finished training is one line of JSON in `--out`; one that stands there already, with the same recipe, is not run again, so a
run that was stopped goes on where it was. What was learned is told as facts named rightly, beside what canaries and an audit read.

The recipe was chosen on seed 0 at ε = 8: the scenes are rendered, so nobody's privacy was spent on it. With data of your own it would be.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from secagg.demo.private import EXACT, PRIVATE, PrivateFacts, private_facts
from secagg.errors import ConfigError

EPSILONS = (2.0, 4.0, 8.0, 16.0, math.inf)
OFTEN = 64
"""In so many records stands the canary that is read."""

Row = dict[str, Any]


def recipe(facts: PrivateFacts) -> dict[str, Any]:
    """What two trainings must have in common to be compared: everything but the noise and what it promises."""
    noise = ("epsilon", "noise_multiplier", "round_epsilon")
    return {name: value for name, value in facts.to_json().items() if name not in noise}


def trained(epsilon: float, seed: int, facts: PrivateFacts, console: Console) -> Row:
    """Train once and read what came of it. `epsilon` infinite: without noise, as `facts` has the rest."""
    import torch

    from secagg.demo.private_task import PrivateScenes
    from secagg.demo.task import add, mean_delta

    torch.set_num_threads(1)
    task = PrivateScenes(seed, facts)
    run, state = (EXACT if math.isinf(epsilon) else PRIVATE), task.initial_state()
    for company in task.companies:
        task.train(company, EXACT, state, round=0, steps=0, seed=seed)  # draws, cleans and encodes the pictures, before the clock starts
    processor, wall = time.process_time(), time.perf_counter()
    for number in range(facts.rounds):
        after = []
        for company in task.companies:
            if run == PRIVATE:
                after.append((task.train_private(company, state, payment=None)[0], 1))
            else:
                after.append(task.train(company, EXACT, state, round=number, steps=facts.steps, seed=seed))
        state = add(state, {name: facts.server_rate * value for name, value in mean_delta(state, after).items()})
        if number in (0, facts.rounds - 1) or (number + 1) % 4 == 0:
            said = f"ε = {named(epsilon)}, seed {seed}: round {number + 1} of {facts.rounds}, {time.perf_counter() - wall:.0f} s"
            console.print(f"{said}, {task.evaluate(state).values['facts']:.3f} of the facts")
    scores, meter = task.evaluate(state), task.meter({run: state})
    (audit,) = meter.audits
    return {
        "epsilon": None if math.isinf(epsilon) else epsilon,
        "seed": seed,
        "recipe": recipe(facts),
        "noise_multiplier": None if math.isinf(epsilon) else facts.noise_multiplier,
        "facts": scores.values["facts"],
        "by_company": dict(scores.by_company),
        "bits": {str(one.times): one.bits for one in meter.canaries},
        "audited": audit.epsilon,
        "processor_seconds": round(time.process_time() - processor),
    }


def finished(path: Path, wanted: Mapping[str, Any]) -> list[Row]:
    """The trainings of this recipe that stand in `path`. Raises ConfigError where a line is not one."""
    if not path.exists():
        return []
    rows = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            fits = row["recipe"] == dict(wanted)
        except (ValueError, KeyError, TypeError) as wrong:
            raise ConfigError(f"{path}, line {number}: not a training of this benchmark; name another --out") from wrong
        if fits:
            rows.append(row)
    return rows


def curve(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """One line for each ε, over its seeds; what is left is a mean of ratios, each to the same seed's training without noise."""
    of: dict[float, dict[int, Row]] = {}
    for row in rows:
        of.setdefault(math.inf if row["epsilon"] is None else row["epsilon"], {})[row["seed"]] = row
    exact, lines = of.get(math.inf, {}), []
    for epsilon in sorted(of):
        runs = of[epsilon]
        ratios = [row["facts"] / exact[seed]["facts"] for seed, row in runs.items() if seed in exact]
        lines.append(
            {
                "epsilon": named(epsilon),
                "noise": next(iter(runs.values()))["noise_multiplier"],
                "facts": statistics.mean(row["facts"] for row in runs.values()),
                "kept": statistics.mean(ratios) if ratios else None,
                "bits": statistics.mean(row["bits"][str(OFTEN)] for row in runs.values()),
                "audited": max(row["audited"] for row in runs.values()),
                "seeds": len(runs),
                "minutes": statistics.mean(row["processor_seconds"] for row in runs.values()) / 60,
            }
        )
    return lines


def cells(line: Mapping[str, Any]) -> list[str]:
    """A line of the curve as text."""
    noise, kept = line["noise"], line["kept"]
    return [
        line["epsilon"],
        "none" if noise is None else f"{noise:.3f}",
        f"{line['facts']:.3f}",
        "" if kept is None else f"{100 * kept:.0f} %",
        f"{line['bits']:.1f}",
        f"{line['audited']:.2f}",
        str(line["seeds"]),
        f"{line['minutes']:.1f}",
    ]


HEADS = (
    "ε",
    "noise multiplier",
    "facts",
    "of the run without noise",
    f"bits of a secret in {OFTEN} records",
    "audited ε ≥",
    "seeds",
    "minutes",
)


def markdown(lines: Sequence[Mapping[str, Any]]) -> str:
    """The curve as a table for the guide."""
    rows = [HEADS, ["---:"] * len(HEADS), *(cells(line) for line in lines)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def table(lines: Sequence[Mapping[str, Any]]) -> Table:
    found = Table(title="What ε costs (minutes are of one processor)")
    for head in HEADS:
        found.add_column(head, justify="right")
    for line in lines:
        found.add_row(*cells(line))
    return found


def named(epsilon: float) -> str:
    return "∞" if math.isinf(epsilon) else f"{epsilon:g}"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epsilons", type=float, nargs="+", default=EPSILONS, help="`inf` is the training without noise")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path, default=Path("utility.jsonl"), help="one line for each finished training")
    parser.add_argument("--quick", action="store_true", help="a few steps on few records, to see that it works: says nothing of utility")
    parser.add_argument("--markdown", action="store_true", help="the table as the guide has it")
    given, progress = parser.parse_args(), Console(stderr=True, highlight=False)
    plain = private_facts("local", 8.0, rounds=None, quick=given.quick)
    have = finished(given.out, recipe(plain))
    done = {(math.inf if row["epsilon"] is None else row["epsilon"], row["seed"]) for row in have}
    for seed in given.seeds:
        for epsilon in given.epsilons:
            if (epsilon, seed) in done:
                continue
            facts = plain if math.isinf(epsilon) else private_facts("local", epsilon, rounds=None, quick=given.quick)
            with given.out.open("a", encoding="utf-8") as file:
                row = trained(epsilon, seed, facts, progress)
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
    lines = curve(finished(given.out, recipe(plain)))
    if given.markdown:
        print(markdown(lines))
    else:
        Console().print(table(lines))


if __name__ == "__main__":
    main()
