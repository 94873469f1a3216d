"""The model card says what is known, copes with what is not, and is what Hugging Face can read."""

import dataclasses

import pytest
import yaml
from fakes import fake_model

from metaser_jax.recogniser.card import LIMITS, content, model_card
from metaser_jax.recogniser.folder import describe, digest, load_model, save_model
from metaser_jax.recogniser.model_files import ABOUT
from metaser_jax.report.text_page import text_page

HEADINGS = [
    *("How to use it", "What it was made of", "Licences of what is inside", "What it scores", "Its probabilities"),
    *("What was noticed about the clips", "What it cannot do", "What identifies it"),
]


def card_of(model):
    return model_card(describe(model))


def about(**changes):
    return dataclasses.replace(fake_model(), about=fake_model().about | changes)


def test_everything_that_is_known_is_said():
    left = [{"file": f"{i}.wav", "reason": "empty"} for i in range(8)]
    assert "4.wav (empty); and 3 more." in card_of(about(left_out=left))
    model = fake_model()
    card = card_of(model)
    assert [line[3:] for line in card.splitlines() if line.startswith("## ")] == HEADINGS
    for said in (
        "# fake",
        "metaser predict --model=FOLDER recording.wav",
        "| ravdess    | English   | CC BY-NC-SA 4.0 ",
        "8 clips, 2 angry, 2 happy, 2 neutral, 2 sad, 2 speakers, 20 s in all, 3 more without labels",
        "meta_sgd, algorithm meta_sgd, order second, inner steps 1, 40 episodes, episode 20, seed 0, from the model",
        "(2 folds, divided by speaker, repeated 4 times)",
        "0.610 (95 % interval over speakers 0.420 to 0.800)",
        "With 8 clips the score says little.",
        "Calibrated with temperature 1.50. It helps.",
        "| negative log-likelihood    | 1.400  | 1.200 |",
        "- 2 clips are shorter than a second: angry/0000.wav, sad/0003.wav.",
        "- Left out: calm/0000.wav (the model does not know calm).",
        "- Adapted with the clips of 2 speakers.",
        digest(model),
        *(f"- {limit}" for limit in LIMITS),
    ):
        assert said in card


def test_whose_vectors_are_inside_is_said():
    model = fake_model(features="encoder")
    card = " ".join(card_of(model).split())
    assert f"{model.encoder.digest}, which is not that of metaser fetch-encoder" in card
    assert "What recordings it was trained on is not stated where it is published" in card
    assert "Inside are those of 8 clips of 2 people." in card
    card = " ".join(card_of(dataclasses.replace(model, support=None)).split())
    assert "Inside are those of no clip and of 0 people." in card
    start = dataclasses.replace(model, support=None, labelled=None, about={"init": {"method": "maml"}})
    assert "only means over all voices of its sources" in " ".join(card_of(start).split())
    mine = card_of(fake_model(features="embeddings", embedding_dim=5, embeddings_name="mine"))
    assert "Vectors of mine identify people" in mine
    assert "speech encoder" not in card_of(fake_model(features="voice"))


def test_a_voice_model_says_what_it_hears():
    card = card_of(fake_model(features="voice", members=5, track_groups=("pitch", "tilt"), normalise="speaker"))
    for said in (
        "A recording is heard whole, or in windows of 5 s if over 8 s.",
        "the mean of 5, each one hidden layer of 4 rectified units",
        "45 statistics of the voice (pitch, tilt), of the whole recording, normalised by: speaker",
        "the recordings of each help each other (--together)",
    ):
        assert said in card
    assert "one hidden layer" in card_of(fake_model(features="voice", members=1))


@pytest.mark.parametrize(
    ("language", "codes", "tag"),
    [
        ("Urdu", ["ur"], None),
        ("Saraiki", None, "saraiki"),
        ("skr", ["skr"], None),
        ("no", ["no"], None),  # false in YAML, unless it is quoted
        ("Q\"eqchi' : #x\n---\n\x1b", None, "q\"eqchi' : #x --- ?"),
        ("हिन्दी", None, "हिन्दी"),
        (None, None, None),
    ],
)
def test_languages_of_any_name(language, codes, tag):
    said = yaml.safe_load(card_of(about(language=language)).split("---\n", 2)[1])
    assert said.get("language") == codes
    assert (said["license"], said["pipeline_tag"]) == ("other", "audio-classification")
    assert said["tags"][5:] == ([] if tag is None else [tag])


def test_any_key_may_be_missing():
    model = fake_model()

    def without(value, expected):
        """The value once without each of its keys, and once with null in its place."""
        for key in value:
            yield {k: v for k, v in value.items() if k != key}
            yield {**value, key: None}
            for less in without(value[key], expected[key]) if isinstance(expected.get(key), dict) else ():
                yield {**value, key: less}

    less = [{}, *without(model.about, ABOUT)]
    assert len(less) > 50
    for known in less:
        said = card_of(dataclasses.replace(model, about=known))
        assert "None" not in said
        assert all(limit in said for limit in LIMITS)


def test_what_is_not_known_is_said_to_be_so():
    old = {key: value for key, value in fake_model().about["calibration"].items() if key != "verdict"}
    assert "temperature of 1.5, found on 8 clips when" in card_of(about(calibration=old))
    card = card_of(dataclasses.replace(fake_model(clips=0, temperature=1.0), about={}))
    for said in ("Not known: it was not tested", "Not calibrated", "is not known here: ask", "are not inside."):
        assert said in card


@pytest.mark.parametrize(
    ("licence", "said"),
    [
        ("CC BY-NC 4.0", "Not for commercial use: that is what the licence of a says"),
        ("Free for non-commercial purposes.", "Not for commercial use"),
        ("Free for research; see the repository.", "For research or academic use: that is what a is given for"),
        ("CC BY 4.0", None),
        ("SYNC 2.0", None),
        (None, "The licence of a is not known here"),
    ],
)
def test_what_licences_mean_for_sharing(licence, said):
    card = card_of(about(init={"sources": [{"name": "a", "licence": licence}]}))
    assert "this is no legal advice" in card
    for sentence in ("Not for commercial use", "For research or academic use", "is not known here"):
        assert (sentence in card) == (said is not None and sentence in said)
    assert said is None or said in card


def test_a_strangers_text_does_not_reach_the_terminal_or_the_page_as_it_is(tmp_path):
    escape = "\x1b]0;owned\x07<script>alert(1)</script> | `a` *b*"
    model = about(name=escape, warnings=[escape], versions={"x": escape}, language=escape)
    save_model(tmp_path / "model", model)
    card = (tmp_path / "model" / "README.md").read_text()
    text = text_page(content(describe(load_model(tmp_path / "model"))))
    assert not {"\x1b", "\x07"} & {*text, *card}
    assert "<script>" not in card.split("---\n", 2)[2].replace(r"\<script\>", "")
