"""Page of the scores that `metaser evaluate` found."""

from collections.abc import Mapping, Sequence
from typing import Any

from metaser_jax.recogniser.evaluation import HEARD, MIN_SPEAKERS, NEW, UNKNOWN
from metaser_jax.report.content import Block, Bullets, Content, Section, Table
from metaser_jax.report.tables import SCORE_NAMES

# Voices that are named.
_MOST = 5
# Per bin; with fewer, chance alone makes the calibration error large.
_FEW = 10
_SCORES = ("macro_f1", "weighted_f1", "uar", "accuracy")
_OF_SPEAKERS = ("macro_f1", "uar", "accuracy")
# What a reader of the scores must know; of the speakers, where all are of a kind.
_CAUTIONS = {
    "missing": "No clip is {}: macro F1 and UAR count that as 0, so that they cannot exceed {}/{}. Give clips of every "
    "emotion.",
    "over speakers": "The interval says what other speakers would give. Over clips, what other clips of these speakers "
    "would give, it is {}.",
    "over clips": "The interval is over clips: it says what other clips of the same speakers would give. What other "
    "speakers would give it does not say: {}.",
    "no clips": "The model was saved without its clips: if it has learned from some of these, they are scored too.",
    "together": "Together, a label depends on the clips of its voice beside it: with others the score is another.",
    HEARD: "All scored clips are of speakers that the model learned from: others may score lower.",
    NEW: "All scored clips are of speakers that the model did not learn from.",
    UNKNOWN: "Whether the model learned from these speakers is not known: new speakers may score lower.",
}


def score_page(facts: Mapping[str, Any]) -> Content:
    """Return the page. facts: as evaluation.evaluate and the command say them."""
    calibration, learned, left = facts["calibration"], facts["learned_from"], len(facts["left"])
    intro = f"{_clips(facts['n'])} scored."
    if learned:
        intro += f" {_clips(learned)} left out, because the model has learned from {'it' if learned == 1 else 'them'}."
    if left:
        intro += f" {_clips(left)} left out for other reasons (they are listed on stderr)."
    says = (
        f"Negative log-likelihood {calibration['nll']:.2f} (lower is better), expected calibration error "
        f"{calibration['ece']:.2f} ({calibration['bins']} bins): by so much, on average, the highest probability "
        "differs from how often it is right."
    )
    if facts["n"] < _FEW * calibration["bins"]:
        says += " With so few clips chance alone makes it large."
    interval = "of a single clip there is no interval"
    if facts["over_speakers"] is not None:
        interval = f"95 %: {_interval(facts['over_speakers'])} over {_whose(facts)}"
    elif facts["over_clips"] is not None:
        interval = f"95 %: {_interval(facts['over_clips'])} over {_clips(facts['n'])} of {_whose(facts)}"
    more = {"macro_f1": interval, "accuracy": f"guessing scores about {1 / len(facts['emotions']):.2f}"}
    scores = [[SCORE_NAMES[name], _number(facts[name]), more.get(name, "")] for name in _SCORES]
    emotions = [
        [emotion, str(one["n"]), _number(one["recall"]), _number(one["precision"])]
        for emotion, one in facts["per_emotion"].items()
    ]
    confusion = [[name, *map(str, row)] for name, row in zip(facts["emotions"], facts["confusion"], strict=True)]
    kinds = [
        [kind, str(one["n"]), *(_number(one[score]) for score in _OF_SPEAKERS)]
        for kind, one in facts["by_speakers"].items()
    ]
    by_kind = Table(["clips of", "clips", *map(SCORE_NAMES.__getitem__, _OF_SPEAKERS)], kinds)
    return Content(
        f"{facts['model']} (digest {facts['digest']}) on {facts['support']}",
        intro,
        (
            Section("Scores", (Table(["score", "value", ""], scores), *_cautions(facts))),
            *_together(facts),
            *([Section("Speakers", (by_kind,))] if len(kinds) > 1 else []),
            Section("Emotions", (Table(["emotion", "clips", "recall", "precision"], emotions),)),
            Section("Confusion: a row for each true emotion", (Table(["true", *facts["emotions"]], confusion),)),
            Section("Calibration", (says,)),
            *_paper(facts),
        ),
    )


def _together(facts: Mapping[str, Any]) -> tuple[Section, ...]:
    """Return the scores of clips that were labelled together, beside those of each by itself."""
    found = facts.get("together")
    if found is None:
        return ()
    interval = {} if found["interval"] is None else {"macro_f1": f"95 %: {_interval(found['interval'])}"}
    scores = [
        [SCORE_NAMES[name], *map(_number, (facts[name], found[name])), interval.get(name, "")] for name in _SCORES
    ]
    off = found["why_off"] and f"metaser predict labels them one by one: {found['why_off']}."
    doubted = [f"{voice['name']} ({'; '.join(voice['doubts'])})" for voice in found["voices"] if voice["doubts"]]
    named = f"{', '.join(doubted[:_MOST])}{' ...' * (len(doubted) > _MOST)}"
    less = f"To be doubted of voices {named}." if doubted else None
    table = Table(["score", "one by one", "together", "of together"], scores)
    said = filter(None, (off, _CAUTIONS["together"], less))
    return (Section("One by one, and labelled together", (table, Bullets(tuple(said)))),)


def _cautions(facts: Mapping[str, Any]) -> tuple[Block, ...]:
    said, kinds, n, learned = [], list(facts["by_speakers"]), len(facts["emotions"]), facts["learned_from"]
    if missing := [emotion for emotion, one in facts["per_emotion"].items() if not one["n"]]:
        said.append(_CAUTIONS["missing"].format(" or ".join(missing), n - len(missing), n))
    if facts["over_speakers"] is not None:
        said.append(_CAUTIONS["over speakers"].format(_interval(facts["over_clips"])))
    elif facts["over_clips"] is not None:
        why = "too few of the speakers say each emotion"
        if facts["speakers"] is None:
            why = "who speaks is not known of all clips"
        elif facts["speakers"] < MIN_SPEAKERS:
            why = f"that takes clips of {MIN_SPEAKERS} speakers or more"
        said.append(_CAUTIONS["over clips"].format(why))
    if learned is None:
        said.append(_CAUTIONS["no clips"])
    if len(kinds) == 1 and (kinds != [UNKNOWN] or learned is not None):
        said.append(_CAUTIONS[kinds[0]])
    return (Bullets(tuple(said)),) if said else ()


def _paper(facts: Mapping[str, Any]) -> tuple[Section, ...]:
    """Return the sentence that may be written of these scores, and what may not; of one clip there is none."""
    if facts["over_clips"] is None:
        return ()
    tested, kinds = f"{_clips(facts['n'])} of {_whose(facts)}", facts["by_speakers"]
    if HEARD in kinds:
        tested += f", {kinds[HEARD]['n']} of the clips by speakers that the model had learned from"
    over = f"interval over {_whose(facts)}" if facts["over_speakers"] is not None else "interval over these clips"
    write = f'Write: "Macro F1 was {facts["macro_f1"]:.2f} (95 % {over}: {_interval(facts["interval"])}) on {tested}."'
    if facts["over_speakers"] is not None:
        return (Section("In a paper", (write,)),)
    do_not = "Do not write that the interval is what other speakers would score, nor the score without their number."
    return (Section("In a paper", (write, do_not)),)


def _whose(facts: Mapping[str, Any]) -> str:
    number = facts["speakers"]
    return "speakers who are not known" if number is None else "1 speaker" if number == 1 else f"{number} speakers"


def _interval(ends: Sequence[float]) -> str:
    return f"{ends[0]:.2f} to {ends[1]:.2f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _clips(number: int) -> str:
    return "1 clip" if number == 1 else f"{number} clips"
