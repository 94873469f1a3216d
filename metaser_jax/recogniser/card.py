"""The model card: what a model is, was made of, scores and cannot do, and the licences inside; `metaser info` says it.

It is made of the content of model.json alone, without jax: any key of its `about` may be missing.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from metaser_jax.recogniser.model_files import settings_of
from metaser_jax.report.content import Block, Bullets, Code, Content, Section, Table, bullets_section
from metaser_jax.report.text_page import markdown_page
from metaser_jax.specs import ModelSpec

LIMITS = (
    "It names one of its emotions whatever it hears, also where there is none of them: it has no answer such as "
    "'something else'.",
    "It was trained on emotions that were acted, or cut from plays and broadcasts. Everyday emotion sounds different "
    "and is less pronounced.",
    "It hears how something is said, not what; and how a voice sounds is not what a person feels. It is no diagnosis, "
    "of health or of anything else, and it finds no lies.",
    "It is not for decisions about people: work, school, police, borders, insurance, credit, health. Some laws forbid "
    "such uses, among them the EU's AI Act at work and in education.",
    "Where each speaker, microphone or room goes with one emotion, a model learns the speaker, microphone or room, and "
    "a score on the same ones flatters it.",
    "Other languages, dialects, ages, microphones, noise, music or several voices at once were not tested unless it is "
    "said here. Where its probabilities are calibrated, they are so for recordings like the clips alone.",
)

_LICENCES = (
    "The recordings that a model has learned from have licences of their own. Whether these also bind a model is not "
    "settled, and this is no legal advice. The careful reading is to share and to use the model only as the strictest "
    "of them allows, to name the corpora, and to leave this page with it."
)
_NON_COMMERCIAL = re.compile(r"\bNC\b|non-?commercial", re.IGNORECASE)
_RESEARCH = re.compile(r"\b(research|academic|scientific)\b", re.IGNORECASE)
# ISO 639-1, which Hugging Face wants; another language is a tag by its name.
_CODES = {
    **{"Arabic": "ar", "Bengali": "bn", "Chinese": "zh", "Dutch": "nl", "English": "en", "French": "fr"},
    **{"German": "de", "Greek": "el", "Hausa": "ha", "Hindi": "hi", "Indonesian": "id", "Italian": "it"},
    **{"Japanese": "ja", "Korean": "ko", "Pashto": "ps", "Persian": "fa", "Polish": "pl", "Portuguese": "pt"},
    **{"Punjabi": "pa", "Russian": "ru", "Spanish": "es", "Swahili": "sw", "Turkish": "tr", "Urdu": "ur"},
}
# How what is known of a start is said.
_START = {
    **{"method": "{}", "algorithm": "algorithm {}", "order": "order {}", "inner_steps": "inner steps {}"},
    **{"episodes": "{} episodes", "init_episode": "episode {}", "init_seed": "seed {}"},
    "model": "from the model folder {}",
}
_ADAPTATION = {
    **{"model_kind": "kind of model: {}", "adapt": "layers: {}", "optimizer": "optimizer {}", "lr": "lr {}"},
    **{"max_epochs": "{} epochs", "batch_size": "batches of {}", "seed": "seed {}"},
}
_CLIPS = {"speakers": "{} speakers", "seconds": "{:.0f} s in all", "unlabelled": "{} more without labels"}
_TAGS = ("speech-emotion-recognition", "low-resource", "meta-learning", "jax", "metaser_jax")
_UNKNOWN = "not known"
# Files of a list that are named; the others are counted.
_NAMED = 5


def model_card(facts: Mapping[str, Any]) -> str:
    """Return markdown with a YAML front matter, as Hugging Face reads it, from the content of model.json."""
    return f"---\n{_front_matter(facts['about'].get('language'))}---\n\n{markdown_page(content(facts))}"


def content(facts: Mapping[str, Any]) -> Content:
    """Return what the card and `metaser info` say."""
    about, settings = facts["about"], settings_of(facts)
    noticed = [*(about.get("warnings") or []), *_left_out(about)]
    sections = (
        _use(settings),
        _made_of(facts, settings),
        _licences(facts),
        _score(about),
        _calibration(facts),
        *bullets_section("What was noticed about the clips", map(_line, noticed)),
        *bullets_section("What it cannot do", map(_line, [*LIMITS, *(about.get("limits") or [])])),
        _identity(facts),
        *([Section("How to make it again", (Code("\n".join(about["made_by"])),))] if about.get("made_by") else []),
    )
    title = _line(about.get("name") or "A model that recognises emotions in speech")
    return Content(title, _intro(about, settings), sections)


def is_start(about: Mapping[str, Any]) -> bool:
    """Return whether a model, by its `about`, was adapted to no clips: it has learned from its sources alone."""
    return bool(about.get("init")) and not about.get("adaptation") and not about.get("support")


def note_of_start(about: Mapping[str, Any]) -> str | None:
    """Return the note of `non_commercial` on a start; of an adapted model its card says it."""
    return non_commercial(about) if is_start(about) else None


def non_commercial(about: Mapping[str, Any]) -> str | None:
    """Return a note that a model, or a start, is not for commercial use; None where no licence inside says so.

    Args: about: Model.about, or what of it is known.
    """
    sources = (about.get("init") or {}).get("sources") or []
    bound = {one["name"]: one["licence"] for one in sources if _NON_COMMERCIAL.search(one.get("licence") or "")}
    if not bound:
        return None
    return f"not for commercial use: it has learned from {_and(list(bound))} ({_and(sorted(set(bound.values())))})."


def _front_matter(language: str | None) -> str:
    language = _line(language or "")
    is_code = re.fullmatch("[a-z]{2,3}", language)
    code = language if is_code else _CODES.get(language, "")
    tags = [*_TAGS, *([language.lower()] if language and not code else [])]
    # A JSON string is a YAML string.
    lines = [f"language:\n- {json.dumps(code)}"] if code else []
    lines += ["license: other", "license_name: those-of-the-recordings", "library_name: metaser_jax"]
    lines += ["pipeline_tag: audio-classification", "tags:"]
    return "\n".join([*lines, *(f"- {json.dumps(tag, ensure_ascii=False)}" for tag in tags)]) + "\n"


def _intro(about: Mapping[str, Any], settings: ModelSpec) -> str:
    n, language = len(settings.emotions), about.get("language")
    named = ", ".join(map(_line, settings.emotions))
    if is_start(about):
        said = (
            f"A start: it recognises {n} emotions in speech ({named}), as they sound in the languages that it has "
            "learned from, and metaser adapt makes a model of another language of it, with a few labelled clips."
        )
    else:
        said = (
            f"Recognises {n} emotions in recordings of speech{f' in {_line(language)}' if language else ''}: {named}, "
            "with a probability for each. Made with metaser_jax, which adapts a meta-trained network to a language by "
            "a few labelled clips."
        )
    return f"{said}\n\nRead what it scores and what it cannot do, below, before you rely on it."


def _use(settings: ModelSpec) -> Section:
    command = "metaser predict --model=FOLDER recording.wav"
    if settings.normalise == "speaker":
        command += "  # several recordings of one speaker: --speakers=one"
    python = (
        "from metaser_jax.recogniser.predictor import Predictor\n\n"
        'predictor = Predictor.load("FOLDER")\n'
        'print(predictor.predict_file("recording.wav"))'
    )
    heard = "in windows of 2.79 s" if settings.features == "mfcc" else "whole, or in windows of 5 s if over 8 s"
    explained = f"FOLDER is the folder of this page. A recording is heard {heard}."
    return Section("How to use it", (explained, Code(command), "Or in a program:", Code(python)))


def _made_of(facts: Mapping[str, Any], settings: ModelSpec) -> Section:
    init, clips, how = (facts["about"].get(key) or {} for key in ("init", "support", "adaptation"))
    header = ("recordings", "language", "licence", "digest")
    body = [
        (one["name"], *(one.get(key) or _UNKNOWN for key in header[1:3]), one.get("digest") or "")
        for one in _inside(facts["about"])
    ]
    said = {
        "start": _listed(init, _START) or _UNKNOWN,
        "clips": _clips(clips) or (f"{facts['support']['clips']} clips" if facts["support"] else "none"),
        "adapted": _listed(how, _ADAPTATION) or _UNKNOWN,
        "network": _network(settings),
        "input": f"{_input(settings)}, normalised by: {settings.normalise}",
    }
    table = _table(["part", "what it is"], said.items())
    return Section("What it was made of", (*([_table(list(header), body)] if body else []), table))


def _inside(about: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return name, language, licence and digest of the corpora that the start was trained on, and of the clips."""
    found = [{**one, "name": one.get("name") or "a corpus"} for one in (about.get("init") or {}).get("sources") or []]
    clips = about.get("support")
    if clips:
        language = clips.get("language") or about.get("language")
        found.append({"name": "the clips", "language": language, "licence": clips.get("licence")})
    return found


def _network(settings: ModelSpec) -> str:
    if settings.network == "perceptron":
        several = f"the mean of {settings.members}, each " if settings.members > 1 else ""
        return f"{several}one hidden layer of {settings.hidden_dim} rectified units"
    return (
        f"two LSTM layers of {settings.hidden_dim} units, pooling {settings.pooling}, activation "
        f"{settings.activation}, statistics of the input {'seen' if settings.input_statistics else 'not seen'}"
    )


def _input(settings: ModelSpec) -> str:
    if settings.features == "voice":
        return f"{settings.coefs} statistics of the voice ({', '.join(settings.track_groups)}), of the whole recording"
    return (
        f"20 MFCC of 120 frames{' and their changes' if settings.deltas else ''}, silence "
        f"{f'below {settings.trim_db:g} dB cut off' if settings.trim_db else 'kept'}"
    )


def _clips(support: Mapping[str, Any]) -> str:
    counts = {emotion: n for emotion, n in (support.get("n_per_emotion") or {}).items() if n is not None}
    parts = [f"{sum(counts.values())} clips"] if counts else []
    parts += [f"{n} {emotion}" for emotion, n in counts.items()]
    rest = _listed({**support, "unlabelled": support.get("unlabelled") or None}, _CLIPS)
    return ", ".join([*parts, *([rest] if rest else [])])


def _licences(facts: Mapping[str, Any]) -> Section:
    about, inside = facts["about"], _inside(facts["about"])
    said: list[Block] = [f"Given under: {_line(about['licence'])}."] if about.get("licence") else []
    if about.get("attribution"):
        said.append(Bullets(tuple(map(_line, about["attribution"]))))
    said.append(_LICENCES)
    if bound := _named(inside, _NON_COMMERCIAL):
        said.append(
            f"Not for commercial use: that is what the licence of {_and(bound)} says. Read carefully, it keeps this "
            "model out of products and paid services."
        )
    if research := _named(inside, _RESEARCH):
        said.append(
            f"For research or academic use: that is what {_and(research)} {'is' if len(research) == 1 else 'are'} "
            "given for. Whoever gets the model should be told."
        )
    unknown = [one["name"] for one in inside if not one.get("licence")]
    if unknown or not inside:
        whose = _and(unknown) if unknown else "the recordings that it was trained on"
        said.append(f"The licence of {whose} is not known here: ask those whose they are before you share the model.")
    if is_start(about):
        said.append("It was adapted to no clips: there is no recording inside, and nothing that was heard of one.")
    elif facts["support"] is None:
        said.append("The clips that it was adapted with are not inside.")
    else:
        said.append(
            f"Inside are the features of {facts['support']['clips']} clips (no sound), with the names of their files "
            "and speakers. Speech can be made audible from such features, roughly: share them only if the speakers "
            "agreed to that. metaser adapt --nokeep_clips makes a model without them."
        )
    return Section("Licences of what is inside", tuple(said))


def _named(inside: Sequence[Mapping[str, Any]], licence: re.Pattern[str]) -> list[str]:
    return [one["name"] for one in inside if licence.search(one.get("licence") or "")]


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _score(about: Mapping[str, Any]) -> Section:
    scored, measured = about.get("cross_validation"), about.get("measured")
    if not scored and measured:
        said = (_line(measured["said"]), _table(measured["columns"], measured["rows"]))
        return Section("What it scores", said)
    if not scored:
        said = (
            "Not known: it was not tested with recordings that it has not learned from. metaser evaluate tests it with "
            "labelled clips of your own."
        )
        return Section("What it scores", (said,))
    names = {"macro_f1": "macro F1", "uar": "UAR", "accuracy": "accuracy", "chance": "macro F1 by chance"}
    said = {key: f"{scored[key]:.3f}" for key in names if scored.get(key) is not None}
    if "macro_f1" in said and scored.get("interval"):
        low, high = scored["interval"]
        over = f" over {scored['interval_by']}" if scored.get("interval_by") else ""
        said["macro_f1"] += f" ({100 * (scored.get('confidence') or 0.95):g} % interval{over} {low:.3f} to {high:.3f})"
    body = [[names[key], value] for key, value in said.items()]
    how = _listed(scored, {"folds": "{} folds", "by": "divided by {}", "repeats": "repeated {} times"})
    blocks: list[Block] = [f"By cross-validation on the clips that it was adapted with{f' ({how})' if how else ''}."]
    blocks += [_line(scored["verdict"])] if scored.get("verdict") else []
    blocks += [_table(["score", "value"], body)] if body else []
    confusion, emotions = scored.get("confusion"), scored.get("emotions")
    if confusion and emotions:
        lines = [[emotion, *(f"{n:g}" for n in line)] for emotion, line in zip(emotions, confusion, strict=True)]
        summed = ", summed over the repetitions" if (scored.get("repeats") or 1) > 1 else ""
        blocks.append(f"Clips of each emotion (lines) and what they were taken for (columns){summed}:")
        blocks.append(_table(["", *emotions], lines))
    return Section("What it scores", tuple(blocks))


def _calibration(facts: Mapping[str, Any]) -> Section:
    said, temperature = facts["about"].get("calibration") or {}, facts["temperature"]
    heading = "Its probabilities"
    if temperature == 1 and not said:
        return Section(heading, ("Not calibrated: they may be much too sure, or too unsure.",))
    divided = f"Logits are divided by a temperature of {temperature:.3g}"
    if said.get("said"):
        return Section(heading, (f"{divided}.", _line(said["said"])))
    found = f", found on {said['n']} clips when the cross-validation held them out" if said.get("n") else ""
    text = said.get("verdict") or f"{divided}{found}."
    names = {"nll": "negative log-likelihood", "ece": "expected calibration error"}
    each = [(name, said.get(f"{key}_before"), said.get(f"{key}_after")) for key, name in names.items()]
    body = [[name, f"{before:.3f}", f"{after:.3f}"] for name, before, after in each if None not in (before, after)]
    return Section(heading, (_line(text), *([_table(["", "before", "after"], body)] if body else [])))


def _identity(facts: Mapping[str, Any]) -> Section:
    about = facts["about"]
    said = {"digest": facts["digest"], "made": about.get("created") or _UNKNOWN}
    said |= {name: version for name, version in (about.get("versions") or {}).items() if version}
    text = "The digest is of all that it predicts with: settings, parameters, normalisation and temperature."
    return Section("What identifies it", (text, _table(["what", "value"], said.items())))


def _left_out(about: Mapping[str, Any]) -> list[str]:
    left = about.get("left_out") or []
    named = "; ".join(f"{one.get('file')} ({one.get('reason')})" for one in left[:_NAMED])
    more = f"; and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
    return [f"Left out: {named}{more}."] if left else []


def _listed(said: Mapping[str, Any], formats: Mapping[str, str]) -> str:
    """Return the values that are known, in words."""
    return ", ".join(text.format(said[key]) for key, text in formats.items() if said.get(key) is not None)


def _table(header: list[str], body: Iterable[Iterable[str]]) -> Table:
    return Table(header, [[_line(cell) for cell in line] for line in body])


def _line(text: str) -> str:
    """Return one line that a terminal can show: a model may come from a stranger."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
