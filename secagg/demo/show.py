"""Run the demo for a person: progress, tables, report; and, when a party fails, what it said last."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from secagg.demo.crew import PartyFailed
from secagg.demo.options import Options
from secagg.demo.progress import Progress, print_results
from secagg.demo.record import Results
from secagg.demo.report import write
from secagg.demo.run import run
from secagg.demo.words import Words
from secagg.filters import audit_page


def show(options: Options, console: Console, words: Words) -> Results:
    """Run, print, and write `report.html` and `results.json` into the out folder.

    Raises:
        PartyFailed: after the end of its log was printed.
    """
    words = words.under(options.protocol).under("with_dp" if options.private else "")
    progress = Progress(console, words)
    try:
        results = run(options, progress)
    except PartyFailed as failed:
        progress.close()
        console.print(Text(words("live.last_lines", path=failed.log), style="bold"))
        for line in failed.last_lines:
            console.print(Text(f"  {line}", style="dim"))
        raise
    finally:
        progress.close()
    print_results(console, results, words)
    data = options.out / "results.json"
    data.write_text(results.model_dump_json(indent=1) + "\n", encoding="utf-8")
    for one in results.cleaned:
        if one.audit is not None:
            (options.out / f"audit-{one.company}.html").write_text(audit_page.render(one.audit), encoding="utf-8")
    console.print()
    console.print(words("live.took", seconds=results.seconds))
    for key, path in (
        ("live.report", write(results, words, options.out)),
        ("live.results", data),
        ("live.audits", options.out / "audit-*.html"),
        *([("live.budgets", options.out / "budget-*.sqlite")] if results.privacy else []),
        ("live.logs", options.out / "logs"),
    ):
        console.print(Text(words(key, path=path)))
    return results
