"""Other tools beside the sanitiser, run for real: spaCy, a Hugging Face model made here, and Presidio both ways. No model is downloaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from secagg.errors import ConfigError
from secagg.filters import Policy, Sanitizer
from secagg.filters.adapters import from_hugging_face, from_presidio, from_spacy
from secagg.filters.adapters.stretches import OVERLAP, STRETCH, Span, as_source
from secagg.filters.policy import Names

RULES = Policy(names=Names(model=False))
TEXT = "the meter of zorblax quux leaks, zorblax quux says"
"""A name that no model of ours knows."""
NAME = "zorblax quux"


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A spaCy pipeline that knows one name, on disk."""
    spacy = pytest.importorskip("spacy")
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns([{"label": "PERSON", "pattern": NAME}, {"label": "ORG", "pattern": "the meter"}])
    folder = tmp_path_factory.mktemp("spacy") / "pipeline"
    nlp.to_disk(folder)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A token classifier whose weights are set by hand: it labels `zorblax` B-PER and `quux` I-PER, and has a window of 16 tokens."""
    pytest.importorskip("transformers")
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForTokenClassification, PreTrainedTokenizerFast

    words = ["[UNK]", "[PAD]", "zorblax", "quux", "the"]
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    labels = {0: "O", 1: "B-PER", 2: "I-PER"}
    config = BertConfig(
        vocab_size=len(words), hidden_size=4, num_hidden_layers=0, num_attention_heads=1, intermediate_size=4, id2label=labels,
        label2id={name: number for number, name in labels.items()}, max_position_embeddings=16,
    )  # fmt: skip
    classifier = BertForTokenClassification(config)
    with torch.no_grad():
        for value in classifier.parameters():
            value.zero_()
        classifier.bert.embeddings.LayerNorm.weight.fill_(1.0)
        for word, place in (("[UNK]", 0), ("the", 0), ("zorblax", 1), ("quux", 2)):
            classifier.bert.embeddings.word_embeddings.weight[words.index(word), place] = 1.0
        classifier.classifier.weight[:, :3] = 5 * torch.eye(3)
    folder = tmp_path_factory.mktemp("hf")
    classifier.save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", model_max_length=16).save_pretrained(folder)
    return folder


def names_of(sanitizer: Sanitizer, text: str) -> list[str]:
    return [text[one.start : one.end] for one in sanitizer.find(text) if one.entity == "NAME"]


def test_a_name_that_only_spacy_knows_is_found_with_spacy(pipeline: Path) -> None:
    assert names_of(Sanitizer(RULES), TEXT) == []
    assert names_of(Sanitizer(RULES, sources=[from_spacy(pipeline)]), TEXT) == [NAME, NAME]


@pytest.mark.slow
def test_a_name_that_only_a_hugging_face_model_knows_is_found_with_it_beyond_its_window_too(model: Path) -> None:
    found = Sanitizer(RULES, sources=[from_hugging_face(model)])
    assert names_of(found, TEXT) == [NAME, NAME]
    far = "the " * 100 + NAME + " the" * 100
    assert names_of(found, far) == [NAME]
    assert NAME not in found.apply(far).text


@pytest.mark.slow
def test_a_policy_file_adds_every_kind_of_model(tmp_path: Path, pipeline: Path, model: Path) -> None:
    pytest.importorskip("presidio_analyzer")
    (tmp_path / "engine.yaml").write_text(_engine(pipeline), encoding="utf-8")
    for line in (f'spacy = "{pipeline}"', f'hugging_face = "{model}"', 'presidio = "engine.yaml"'):
        (tmp_path / "policy.toml").write_text(f"[names]\nmodel = false\n{line}\n", encoding="utf-8")
        assert Sanitizer.from_policy(tmp_path / "policy.toml").apply(TEXT).text == "the meter of [NAME] leaks, [NAME] says", line


@pytest.mark.slow
def test_what_we_find_presidio_finds_with_our_recognisers_and_not_without(pipeline: Path) -> None:
    pytest.importorskip("presidio_analyzer")
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.nlp_engine import NlpEngineProvider

    from secagg.filters.adapters.presidio import presidio_recognisers

    models = [{"lang_code": "en", "model_name": str(pipeline)}]
    nlp = NlpEngineProvider(nlp_configuration={"nlp_engine_name": "spacy", "models": models}).create_engine()
    text = "来电１３８-1234-5678，户号30218845，人民路12号3单元502室"
    theirs = AnalyzerEngine(nlp_engine=nlp, registry=RecognizerRegistry(supported_languages=["en"]), supported_languages=["en"])
    theirs.registry.load_predefined_recognizers(languages=["en"], nlp_engine=nlp)
    before = {(one.start, one.end) for one in theirs.analyze(text, language="en")}
    for recogniser in presidio_recognisers(Sanitizer(RULES)):
        theirs.registry.add_recognizer(recogniser)
    after = theirs.analyze(text, language="en")
    wanted = {(one.start, one.end) for one in Sanitizer(RULES).find(text)}
    assert len(wanted) == 3
    assert not wanted & before
    assert wanted <= {(one.start, one.end) for one in after}
    assert {"PHONE_NUMBER", "METER_OR_ACCOUNT", "ADDRESS"} <= {one.entity_type for one in after}
    assert [one.entity_type for one in theirs.analyze(text, language="en", entities=["ADDRESS"])] == ["ADDRESS"]


@pytest.mark.slow
def test_presidio_is_a_source_of_names_and_what_it_misses_is_not_downloaded(tmp_path: Path, pipeline: Path) -> None:
    pytest.importorskip("presidio_analyzer")
    path = tmp_path / "engine.yaml"
    path.write_text(_engine(pipeline), encoding="utf-8")
    assert names_of(Sanitizer(RULES, sources=[from_presidio(path)]), TEXT) == [NAME, NAME]
    path.write_text(_engine(Path("en_core_web_xl")), encoding="utf-8")
    with pytest.raises(ConfigError, match="not installed, and none is downloaded"):
        from_presidio(path)
    path.write_text("nlp_configuration: 3\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="configures no Presidio engine"):
        from_presidio(path)


def test_a_model_that_is_not_there_is_refused_and_not_fetched(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="none is downloaded"):
        from_spacy("en_core_web_xl")
    with pytest.raises(ConfigError, match="never downloaded"):
        from_hugging_face("dslim/bert-base-NER")
    with pytest.raises(ConfigError, match="no token-classification model"):
        from_hugging_face(tmp_path)


def test_a_pipeline_without_entities_is_refused() -> None:
    spacy = pytest.importorskip("spacy")
    with pytest.raises(ConfigError, match="labels no entities"):
        from_spacy(spacy.blank("en"))


def test_a_name_on_the_edge_of_a_stretch_is_found_once_and_whole() -> None:
    def read(text: str) -> list[Span]:
        return [Span(at, at + len(NAME), "PER", 0.9) for at in range(len(text)) if text.startswith(NAME, at)]

    for lead in (STRETCH - OVERLAP - 6, STRETCH - OVERLAP, STRETCH - 6, STRETCH):
        text = "a" * lead + NAME + "a" * STRETCH
        assert [(one.start, one.end) for one in as_source(read, "test", {"PER": "NAME"})(text)] == [(lead, lead + len(NAME))]


def test_an_error_of_a_model_does_not_quote_the_text() -> None:
    def fail(text: str) -> list[Span]:
        raise ValueError(f"cannot read {text}")

    with pytest.raises(ConfigError, match="failed on a text of 50 characters with ValueError") as caught:
        as_source(fail, "names test", {"PER": "NAME"})(TEXT)
    assert NAME not in str(caught.value)
    assert caught.value.__suppress_context__


def _engine(pipeline: Path) -> str:
    return (
        "supported_languages: [en]\nnlp_configuration:\n  nlp_engine_name: spacy\n  models:\n"
        f"    - lang_code: en\n      model_name: {pipeline}\n"
        "  ner_model_configuration:\n    model_to_presidio_entity_mapping: {PERSON: PERSON}\n"
        "recognizer_registry:\n  supported_languages: [en]\n  recognizers:\n    - {name: SpacyRecognizer, type: predefined}\n"
    )
