"""A configuration file is understood whole, or refused with the file, the line, the key and the fix."""

from __future__ import annotations

from pathlib import Path

import pytest

from secagg.cli.template import TEMPLATES
from secagg.config import AggregatorSettings, ClientSettings, CoordinatorSettings, load
from secagg.config_errors import line_of
from secagg.errors import ConfigError
from secagg.policy import Floors, Policy

CLIENT = """\
[party]
identity = "pki/energy"

[hub]
address = "hub.example:7070"

[training]
callable = "captions:train"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "energy.toml"


def client(file: Path, text: str) -> ClientSettings:
    file.write_text(text, encoding="utf-8")
    return load(file, ClientSettings)


def test_paths_are_relative_to_the_file_and_not_to_the_working_folder(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    settings = client(file, CLIENT + '[results]\nfolder = "/var/results"\n')
    assert settings.party.identity == file.parent / "pki" / "energy"
    assert settings.training.path == file.parent
    assert settings.results is not None
    assert settings.results.folder == Path("/var/results")


def test_without_a_policy_table_the_policy_is_that_of_the_library(file: Path) -> None:
    assert client(file, CLIENT).policy.policy() == Policy()


def test_each_key_of_the_policy_reaches_the_policy(file: Path) -> None:
    floors = "threshold = 3\ncolluders = 2\nn_min = 5\nh_min = 3\n"
    keys = floors + 'protocols = ["additive"]\ntasks = ["t"]\nmin_bits = 8\nmax_values = 9\nmin_servers = 2\n'
    policy = client(file, f"{CLIENT}[policy]\n{keys}").policy.policy()
    assert policy.floors == Floors(threshold=3, colluders=2, n_min=5, h_min=3)
    assert (policy.protocols, policy.tasks) == (frozenset({"additive"}), frozenset({"t"}))
    assert (policy.min_bits, policy.max_values, policy.min_servers) == (8, 9, 2)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (CLIENT.replace("identity", "idenity"), 2, "[party] idenity: unknown key: did you mean `identity`?"),
        (CLIENT.replace("[training]", "[trainig]"), 7, "[trainig]: unknown table: did you mean `training`?"),
        (CLIENT + "n_min = 4\n", 9, "[training] n_min: unknown key: it belongs into [policy]"),
        (CLIENT + "colour = 4\n", 9, "[training] colour: unknown key: known here: base_model, callable"),
        (CLIENT.replace('identity = "pki/energy"', ""), 1, "[party] identity: missing: add `identity = …` to [party]"),
        (CLIENT.replace('[hub]\naddress = "hub.example:7070"\n', ""), None, "[hub]: the table is missing: add `[hub]`"),
        (CLIENT.replace(":7070", ""), 5, "[hub] address: must be HOST:PORT"),
        (CLIENT.replace("7070", "70700"), 5, "[hub] address: must be HOST:PORT"),
        (CLIENT.replace("captions:train", "captions.train"), 8, "[training] callable: "),
        (CLIENT + '[policy]\nmin_bits = "many"\n', 10, "[policy] min_bits: "),
        (CLIENT + "[policy]\nn_min = 2\n", 9, "[policy]: floors n_min=2"),
        (CLIENT + "[training\n", None, "no valid TOML: "),
        (CLIENT + "[party]\n", None, "no valid TOML: "),
    ],
)
def test_a_mistake_is_named_with_its_line_and_its_fix(file: Path, text: str, line: int | None, says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        client(file, text)
    place = f"{file}:{line}: " if line else f"{file}: "
    assert str(refused.value).startswith(place + says)
    assert "\n" not in str(refused.value)


def test_further_mistakes_are_counted(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"\(2 more after this one\)"):
        client(file, '[party]\nidentiy = "x"\n[hub]\naddress = "h:1"\n')


def test_a_file_that_is_missing_binary_or_huge_is_named(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"energy\.toml: No such file.*secagg template"):
        load(file, ClientSettings)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(file, ClientSettings)
    file.write_bytes(b"#" * (1 << 20) + b"#")
    with pytest.raises(ConfigError, match="too large"):
        load(file, ClientSettings)


@pytest.mark.parametrize(("command", "kind"), [("serve", CoordinatorSettings), ("aggregate", AggregatorSettings), ("join", ClientSettings)])
@pytest.mark.parametrize("uncommented", [False, True])
def test_every_template_loads_as_it_is_and_with_each_key_switched_on(file: Path, command: str, kind: type, uncommented: bool) -> None:
    lines = TEMPLATES[command].splitlines()
    if uncommented:
        lines = [line.removeprefix("# ") if "=" in line or line.startswith("# [") else line for line in lines]
    text = "\n".join(lines).replace('"…"', f'"{"0" * 64}"')
    file.write_text(text, encoding="utf-8")
    settings = load(file, kind)
    if uncommented:
        every = {f"{table}.{key}" for table, model in settings for key in (type(model).model_fields if model is not None else ())}
        shown = {f"{table}.{key}" for table, model in settings for key in (model.model_fields_set if model is not None else ())}
        assert every <= shown


def test_the_protocol_table_keeps_the_keys_of_its_plan(file: Path) -> None:
    file.write_text(TEMPLATES["serve"], encoding="utf-8")
    assert load(file, CoordinatorSettings).protocol.arguments() == {"clip": 1.0, "bits": 16, "max_weight": 4096}


def test_a_line_is_found_for_dotted_quoted_and_nested_keys() -> None:
    text = 'a.b = 1\n"c d" = 2\n[e.f]\ng = 3\n[ h ]\n'
    assert [line_of(text, steps) for steps in (["a", "b"], ["c d"], ["e", "f", "g"], ["e", "f", "x"], ["h"], ["z"])] == [
        1,
        2,
        4,
        3,
        5,
        None,
    ]
