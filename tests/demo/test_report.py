"""The report, rendered from a recorded run: complete, self-contained, and the same numbers as the JSON beside it."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from secagg.demo.record import Results
from secagg.demo.report import render, write
from secagg.demo.words import LANGUAGES, Words

pytest.importorskip("matplotlib")

RECORDED = Path(__file__).parent / "recorded.json"
VOID = {"meta", "img", "br", "link", "use"}
SECTIONS = ("criteria", "flow", "scores", "examples", "cleaning", "fence", "view", "mean", "cost", "receipts", "limits", "setting")


class Page(HTMLParser):
    """Checks nesting while it reads, and keeps elements, ids and the text of table rows."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.rows: list[list[str]] = []
        self._cell = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self._cell = True
            self.rows[-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes something else at {self.getpos()}"
        if tag in ("td", "th"):
            self._cell = False

    def handle_data(self, data):
        if self._cell:
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def results():
    return Results.model_validate_json(RECORDED.read_text("utf-8"))


@pytest.fixture(scope="module", params=LANGUAGES)
def html(request, results):
    return render(results, Words.of(request.param))


@pytest.fixture(scope="module")
def english(results):
    return render(results, Words.of("en"))


def test_a_run_of_pairwise_is_told_in_its_own_words(results):
    """What the hub saw is one masked vector, which nothing adds up to the update."""
    view = results.views[0]
    masked = view.shares[0].model_copy(update={"aggregator": "hub"})
    seen = view.model_copy(update={"shares": (masked,), "adds_up": None})
    setting = results.setting.model_copy(update={"protocol": "pairwise", "aggregators": ()})
    page = render(results.model_copy(update={"setting": setting, "views": (seen,)}), Words.of("en"))
    assert "masks cancel" in page
    assert "ggregator" not in re.sub(r"<[^>]*>", "", page.split('id="receipts"')[0].split("<body>")[1])
    assert Page(page).open == []


def test_a_run_of_ckks_is_told_in_its_own_words(results):
    """What the hub saw is one ciphertext; who decrypts is drawn and named."""
    view = results.views[0]
    seen = view.model_copy(update={"shares": (view.shares[0].model_copy(update={"aggregator": "hub"}),), "adds_up": None})
    setting = results.setting.model_copy(update={"protocol": "ckks", "aggregators": ("auditor",)})
    page = render(results.model_copy(update={"setting": setting, "views": (seen,)}), Words.of("en"))
    told = re.sub(r"<[^>]*>", "", page.split('id="receipts"')[0].split("<body>")[1])
    assert "adds ciphertexts" in page
    assert "auditor" in told
    assert "ggregator" not in told
    assert Page(page).open == []


def test_a_run_of_ckks_threshold_draws_every_key_holder(results):
    view = results.views[0]
    seen = view.model_copy(update={"shares": (view.shares[0].model_copy(update={"aggregator": "hub"}),), "adds_up": None})
    holders = tuple(f"{company}-keyholder" for company in results.companies)
    setting = results.setting.model_copy(update={"protocol": "ckks-threshold", "aggregators": holders})
    page = render(results.model_copy(update={"setting": setting, "views": (seen,)}), Words.of("en"))
    drawn = page.split("<svg", 1)[1].split("</svg>")[0]
    assert all(f">{holder}<" in drawn for holder in holders)
    assert "ggregator" not in re.sub(r"<[^>]*>", "", page.split('id="receipts"')[0].split("<body>")[1])
    assert Page(page).open == []


def test_every_section_is_there(html):
    ids = {attributes.get("id") for tag, attributes in Page(html).elements if tag == "section"}
    assert ids == set(SECTIONS)


def test_elements_are_nested_and_closed(html):
    assert Page(html).open == []


def test_ids_are_distinct_and_links_within_the_page_find_them(html):
    elements = [attributes for _, attributes in Page(html).elements]
    ids = [attributes["id"] for attributes in elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    asked = {attributes["href"].removeprefix("#") for attributes in elements if attributes.get("href")} | set(
        re.findall(r"url\(#([^)]+)\)", html)
    )
    assert asked <= set(ids)


def test_nothing_is_loaded_from_anywhere(html):
    for tag, attributes in Page(html).elements:
        assert tag not in {"script", "link", "iframe", "object", "embed"}
        for name in ("src", "href", "xlink:href", "data", "action"):
            value = attributes.get(name) or ""
            assert value == "" or value.startswith(("data:", "#")), f"{tag} {name}={value[:60]}"
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)


def test_pictures_are_png_and_described(html, results):
    pictures = [attributes for tag, attributes in Page(html).elements if tag == "img"]
    assert len(pictures) == len(results.examples)
    for attributes in pictures:
        assert base64.b64decode(attributes["src"].removeprefix("data:image/png;base64,")).startswith(b"\x89PNG")
        assert attributes["alt"]


def test_figures_have_a_text_alternative_and_only_colours_of_the_style_sheet(html):
    figures = [attributes for tag, attributes in Page(html).elements if tag == "svg"]
    assert len(figures) >= 2 * 4
    assert all(attributes.get("role") == "img" and attributes.get("aria-label") for attributes in figures)
    assert not re.search(r"(?:fill|stroke): #", html)


def test_every_table_has_headers_with_a_scope_and_scrolls_in_its_own_box(html):
    page = Page(html)
    assert all("scope" in attributes for tag, attributes in page.elements if tag == "th")
    regions = sum(attributes.get("class") == "scroll" for _, attributes in page.elements)
    assert regions == sum(tag == "table" for tag, _ in page.elements)


def test_what_only_screen_readers_read_widens_no_page(html):
    # An absolutely placed word of a wide table would hang out of a box that scrolls but does not hold it, and move the page on a phone.
    style = html[html.index("<style>") : html.index("</style>")]
    assert re.search(r"\.sr \{ position: absolute", style)
    assert re.search(r"\.scroll \{[^}]*position: relative", style)


def test_score_tables_say_what_the_json_says(english, results):
    rows = Page(english).rows
    for variant in results.variants:
        for model in results.rows(variant):
            numbers = [f"{model.scores[metric]:.3f}" for metric in results.metrics]
            numbers += [f"{model.by_company[company]:.3f}" for company in results.companies]
            assert any([cell.strip() for cell in row[1:]] == numbers for row in rows), model.name


def test_the_report_says_of_every_planted_value_whether_it_was_found(english, results):
    rows = [[cell.strip() for cell in row] for row in Page(english.split('id="cleaning"')[1].split("</section>")[0]).rows]
    assert len(results.cleaned) == len(results.companies)
    for done in results.cleaned:
        assert f"{done.captions:,} captions, {sum(done.planted.values())} planted values, {done.left} of them" in english
        for entity, planted in done.planted.items():
            assert [entity, str(planted), str(done.found[entity])] in [row[:3] for row in rows]


def test_a_run_without_the_sanitiser_says_so(results):
    setting = results.setting.model_copy(update={"sanitised": False})
    raw = tuple(one.model_copy(update={"audit": None, "found": {}, "left": sum(one.planted.values())}) for one in results.cleaned)
    page = render(results.model_copy(update={"setting": setting, "cleaned": raw}), Words.of("en"))
    assert "The sanitiser was turned off" in page
    assert Page(page).open == []


def test_cost_table_says_what_the_json_says(english, results):
    rows = [[cell.strip() for cell in row] for row in Page(english).rows]
    for cost in results.costs:
        row = next(row for row in rows if row[0] == f"{cost.values:,} values" and len(row) == 7)
        assert (row[3], row[6]) == (f"{cost.seconds_ratio:.2f}", f"{cost.bytes_ratio:.3f}")


def test_every_receipt_is_listed_with_its_round_description(english, results):
    cells = {cell for row in Page(english).rows for cell in row}
    assert all(one.rd in cells and one.result in cells for one in results.rounds)


def test_answers_stand_in_the_table_as_they_were_given(english, results):
    cells = " ".join(cell for row in Page(english).rows for cell in row)
    assert all(said in cells for example in results.examples for answer in example.answers for said in answer.said.values())


def test_text_from_data_cannot_become_markup(results):
    broken = results.examples[0].model_copy(update={"picture": "", "text": "<script>alert(1)</script>"})
    html = render(results.model_copy(update={"examples": (broken,)}), Words.of("en"))
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_a_criterion_that_does_not_hold_is_marked_fail(results):
    failed = results.criteria[0].model_copy(update={"holds": False, "measured": 0.1})
    html = render(results.model_copy(update={"criteria": (failed,)}), Words.of("en"))
    assert "FAIL" in html
    assert "PASS" not in html


def test_a_quick_run_is_not_judged(results):
    quick = results.model_copy(
        update={"criteria": (), "variants": ("disjoint",), "setting": results.setting.model_copy(update={"quick": True})}
    )
    html = render(quick, Words.of("en"))
    assert Words.of("en")("criteria.unjudged") in html
    assert "PASS" not in html


def test_the_same_results_give_the_same_page(results, english):
    assert render(results, Words.of("en")) == english


def test_the_report_lies_in_the_folder(tmp_path, results, english):
    assert write(results, Words.of("en"), tmp_path).read_text("utf-8") == english


def test_the_report_says_what_the_joint_model_could_not_say(english, results):
    section = english.split('id="fence"')[1].split("</section>")[0]
    assert results.fenced is not None
    assert f"in {results.fenced.free} answers without the fence and in {results.fenced.fenced} with it" in section
    assert results.fenced.said_fenced in section
    assert 'id="fence"' not in render(results.model_copy(update={"fenced": None}), Words.of("en"))
