"""Every numbered check stands in the code, in docs/checks.md and in a test that is marked with it."""

from __future__ import annotations

from pathlib import Path

from tests.repository.checks import PAGE, order, page
from tests.repository.source import CHECK_ID, ROOT, checks, library_files, marked_checks, quotes, squeeze

SPEC = ROOT / "docs" / "spec"


def raised() -> set[str]:
    return {check.id for path in library_files() for check in checks(path)}


def marked() -> set[str]:
    return {identifier for path in sorted((ROOT / "tests").rglob("*.py")) for identifier in marked_checks(path)}


def test_the_table_of_checks_is_what_the_source_gives() -> None:
    written = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else ""
    assert written == page(), "docs/checks.md is stale: run `python3 dev.py checks`"


def test_every_check_has_a_test_marked_with_it() -> None:
    missing = sorted(raised() - marked(), key=order)
    assert not missing, f"no test is marked @pytest.mark.check(…) with {', '.join(missing)}"


def test_every_mark_names_a_check_of_the_code() -> None:
    unknown = sorted(marked() - raised(), key=order)
    assert not unknown, f"marked in a test, but in no code: {', '.join(unknown)}"


def test_every_check_of_the_specification_is_in_the_code_and_the_other_way_round() -> None:
    specified = {identifier for path in SPEC.rglob("*.md") for identifier in CHECK_ID.findall(path.read_text(encoding="utf-8"))}
    assert {"not in the code": sorted(specified - raised(), key=order), "not in docs/spec": sorted(raised() - specified, key=order)} == {
        "not in the code": [],
        "not in docs/spec": [],
    }


def test_every_quote_stands_in_the_specification() -> None:
    specification = [squeeze(path.read_text(encoding="utf-8")) for path in sorted(SPEC.rglob("*.md"))]
    lost = [
        f"{quote.path.relative_to(ROOT)}:{quote.line}: {quote.text}"
        for path in library_files()
        for quote in quotes(path)
        if not any(quote.text in text for text in specification)
    ]
    assert not lost, "not a sentence of docs/spec:\n" + "\n".join(lost)


def test_the_reader_finds_ids_quotes_and_marks(tmp_path: Path) -> None:
    """The laws above say something only if their reader sees what it must, so it reads a small library of known content."""
    (tmp_path / "secagg").mkdir()
    code = tmp_path / "secagg" / "steps.py"
    code.write_text(
        "def accept(n):\n"
        "    # > A batch of fewer than\n"
        "    # > F parties is refused (AD-B2).\n"
        "    if n < 3:\n"
        '        raise InvalidMessage("AD-B2", f"{n}")\n'
        "def open(n):\n"
        '    raise InvalidMessage("AD-B10", f"{n} parts | all are needed")\n'
        "def close(n):\n"
        '    raise SessionAborted(f"AD-B11: {n} are too few")\n'
    )
    test = tmp_path / "test_steps.py"
    test.write_text('@pytest.mark.check("AD-B2", "AD-B10")\ndef test_it(): ...\n')
    assert [check.id for check in checks(code, tmp_path)] == ["AD-B2", "AD-B10", "AD-B11"]
    assert [quote.text for quote in quotes(code)] == ["A batch of fewer than F parties is refused (AD-B2)."]
    assert marked_checks(test) == {"AD-B2", "AD-B10"}
    assert page(tmp_path).splitlines()[-3:] == [
        "| AD-B2 | A batch of fewer than F parties is refused. | `secagg/steps.py · accept` |",
        "| AD-B10 | … parts \\| all are needed | `secagg/steps.py · open` |",
        "| AD-B11 | … are too few | `secagg/steps.py · close` |",
    ]
