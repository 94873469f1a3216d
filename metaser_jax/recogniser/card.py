"""The model card: what a model is, was made of, scores and cannot do, and the licences inside; `metaser info` says it.

It is made of the content of model.json alone, without jax: any key of its `about` may be missing.
"""

import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from metaser_jax.audio.encoder import PUBLISHED
from metaser_jax.recogniser.model_files import settings_of
from metaser_jax.report.content import Block, Bullets, Code, Content, Section, Table, bullets_section
from metaser_jax.report.text_page import markdown_page
from metaser_jax.specs import ModelSpec
from metaser_jax.specs.voice import columns

TEXTS: dict[str, Any] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
LIMITS: tuple[str, ...] = tuple(TEXTS["limits"])
_NON_COMMERCIAL = re.compile(r"\bNC\b|non-?commercial", re.IGNORECASE)
_RESEARCH = re.compile(r"\b(research|academic|scientific)\b", re.IGNORECASE)
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
        _use(facts, settings),
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
    code = language if is_code else TEXTS["codes"].get(language)
    tags = [*TEXTS["tags"], *([language.lower()] if language and not code else [])]
    # A JSON string is a YAML string.
    said = f"language:\n- {json.dumps(code)}\n" if code else ""
    listed = "\n".join(f"- {json.dumps(tag, ensure_ascii=False)}" for tag in tags)
    return TEXTS["front_matter"].format(language=said, tags=listed)


def _intro(about: Mapping[str, Any], settings: ModelSpec) -> str:
    kind = "start" if is_start(about) else "model"
    language = f" in {_line(about['language'])}" if about.get("language") else ""
    emotions = ", ".join(map(_line, settings.emotions))
    said = TEXTS["intro"][kind].format(n=len(settings.emotions), language=language, emotions=emotions)
    return f"{said}\n\n{TEXTS['intro']['advice']}"


def _use(facts: Mapping[str, Any], settings: ModelSpec) -> Section:
    texts = TEXTS["use"]
    command = texts["command"] + (texts["one_speaker"] if settings.normalise == "speaker" else "")
    heard = texts["heard"].format(windows=texts[settings.features])
    if facts.get("together") and settings.normalise == "speaker":
        heard = f"{heard} {texts['together']}"
    return Section("How to use it", (heard, Code(command), "Or in a program:", Code(texts["program"])))


def _made_of(facts: Mapping[str, Any], settings: ModelSpec) -> Section:
    init, clips, how = (facts["about"].get(key) or {} for key in ("init", "support", "adaptation"))
    header = ("recordings", "language", "licence", "digest")
    body = [
        (one["name"], *(one.get(key) or _UNKNOWN for key in header[1:3]), one.get("digest") or "")
        for one in _inside(facts["about"])
    ]
    said = {
        "start": _listed(init, "start") or _UNKNOWN,
        "clips": _clips(clips) or (f"{facts['support']['clips']} clips" if facts["support"] else "none"),
        "adapted": _listed(how, "adaptation") or _UNKNOWN,
        "network": _network(settings),
        "input": f"{_input(settings)}, normalised by: {settings.normalise}",
    }
    texts, encoder = TEXTS["encoder"], facts.get("encoder")
    if encoder:
        said["encoder"] = texts["known" if encoder == PUBLISHED else "unknown"].format(digest=encoder)
    table = _table(["part", "what it is"], said.items())
    trained = [texts["trained"]] if encoder else []
    return Section("What it was made of", (*([_table(list(header), body)] if body else []), table, *trained))


def people_inside(facts: Mapping[str, Any]) -> str | None:
    """Return how many people's vectors are inside, which identify them; None of a model that hears none."""
    settings, about, texts = settings_of(facts), facts["about"], TEXTS["encoder"]
    if not settings.vectors[0]:
        return None
    of = "a speech encoder" if settings.features == "encoder" else _line(settings.embeddings_name or "an encoder")
    if is_start(about):
        return texts["start"].format(of=of)
    speakers = (about.get("support") or {}).get("speakers")
    people = "a number of people that is not known" if speakers is None else f"{speakers} people"
    kept = texts["inside"].format(n=facts["support"]["clips"], people=people) if facts["support"] else texts["none"]
    return texts["vectors"].format(of=of, kept=kept)


def _inside(about: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return name, language, licence and digest of the corpora that the start was trained on, and of the clips."""
    found = [{**one, "name": one.get("name") or "a corpus"} for one in (about.get("init") or {}).get("sources") or []]
    clips = about.get("support")
    if clips:
        language = clips.get("language") or about.get("language")
        found.append({"name": "the clips", "language": language, "licence": clips.get("licence")})
    return found


def _network(settings: ModelSpec) -> str:
    several = f"the mean of {settings.members}, each " if settings.members > 1 else ""
    seen = "seen" if settings.input_statistics else "not seen"
    return TEXTS["network"][settings.network].format(settings=settings, several=several, seen=seen)


def _input(settings: ModelSpec) -> str:
    groups, changes = ", ".join(settings.track_groups), " and their changes" if settings.deltas else ""
    silence = f"below {settings.trim_db:g} dB cut off" if settings.trim_db else "kept"
    named = f" ({_line(settings.embeddings_name)})" if settings.embeddings_name else ""
    numbers = {"statistics": len(columns(settings.track_groups)), "dim": settings.embedding_dim}
    return TEXTS["input"][settings.features].format(
        coefs=settings.coefs, groups=groups, changes=changes, silence=silence, named=named, **numbers
    )


def _clips(support: Mapping[str, Any]) -> str:
    counts = {emotion: n for emotion, n in (support.get("n_per_emotion") or {}).items() if n is not None}
    parts = [f"{sum(counts.values())} clips", *(f"{n} {emotion}" for emotion, n in counts.items())] if counts else []
    rest = _listed({**support, "unlabelled": support.get("unlabelled") or None}, "clips")
    return ", ".join(filter(None, [*parts, rest]))


def _licences(facts: Mapping[str, Any]) -> Section:
    about, inside = facts["about"], _inside(facts["about"])
    said: list[Block] = [f"Given under: {_line(about['licence'])}."] if about.get("licence") else []
    if about.get("attribution"):
        said.append(Bullets(tuple(map(_line, about["attribution"]))))
    texts = TEXTS["licences"]
    said.append(texts["all"])
    if bound := _named(inside, _NON_COMMERCIAL):
        said.append(texts["non_commercial"].format(whose=_and(bound)))
    if research := _named(inside, _RESEARCH):
        said.append(texts["research"].format(whose=_and(research), verb="is" if len(research) == 1 else "are"))
    unknown = [one["name"] for one in inside if not one.get("licence")]
    if unknown or not inside:
        whose = _and(unknown) if unknown else "the recordings that it was trained on"
        said.append(texts["unknown"].format(whose=whose))
    kept = "no_clips" if facts["support"] is None else "clips"
    said.append(texts["start" if is_start(about) else kept].format(n=(facts["support"] or {}).get("clips")))
    if people := people_inside(facts):
        said.append(people)
    return Section("Licences of what is inside", tuple(said))


def _named(inside: Sequence[Mapping[str, Any]], licence: re.Pattern[str]) -> list[str]:
    return [one["name"] for one in inside if licence.search(one.get("licence") or "")]


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _score(about: Mapping[str, Any]) -> Section:
    scored, measured, texts = about.get("cross_validation"), about.get("measured"), TEXTS["score"]
    heading = "What it scores"
    if not scored:
        known = (_line(measured["said"]), _table(measured["columns"], measured["rows"])) if measured else None
        return Section(heading, known or (texts["unknown"],))
    said = {key: f"{scored[key]:.3f}" for key in TEXTS["scores"] if scored.get(key) is not None}
    if "macro_f1" in said and scored.get("interval"):
        low, high = scored["interval"]
        over = f" over {scored['interval_by']}" if scored.get("interval_by") else ""
        said["macro_f1"] += f" ({100 * (scored.get('confidence') or 0.95):g} % interval{over} {low:.3f} to {high:.3f})"
    how = _listed(scored, "cross_validation")
    blocks: list[Block] = [texts["how"].format(how=f" ({how})" if how else "")]
    blocks += [_line(scored["verdict"])] if scored.get("verdict") else []
    if (scored.get("together") or {}).get("macro_f1") is not None:
        blocks.append(texts["together"].format(**scored["together"]))
    if said:
        blocks.append(_table(["score", "value"], ((TEXTS["scores"][key], value) for key, value in said.items())))
    confusion, emotions = scored.get("confusion"), scored.get("emotions")
    if confusion and emotions:
        lines = [[emotion, *(f"{n:g}" for n in line)] for emotion, line in zip(emotions, confusion, strict=True)]
        summed = ", summed over the repetitions" if (scored.get("repeats") or 1) > 1 else ""
        blocks += [texts["confusion"].format(summed=summed), _table(["", *emotions], lines)]
    return Section(heading, tuple(blocks))


def _calibration(facts: Mapping[str, Any]) -> Section:
    said, temperature, texts = facts["about"].get("calibration") or {}, facts["temperature"], TEXTS["calibration"]
    heading = "Its probabilities"
    if temperature == 1 and not said:
        return Section(heading, (texts["none"],))
    divided = texts["divided"].format(temperature=temperature)
    if said.get("said"):
        return Section(heading, (f"{divided}.", _line(said["said"])))
    found = texts["found"].format(n=said["n"]) if said.get("n") else ""
    text = _line(said.get("verdict") or f"{divided}{found}.")
    scores = TEXTS["calibration_scores"].items()
    each = [(name, said.get(f"{key}_before"), said.get(f"{key}_after")) for key, name in scores]
    body = [[name, f"{before:.3f}", f"{after:.3f}"] for name, before, after in each if None not in (before, after)]
    return Section(heading, (text, *([_table(["", "before", "after"], body)] if body else [])))


def _identity(facts: Mapping[str, Any]) -> Section:
    about = facts["about"]
    said = {"digest": facts["digest"], "made": about.get("created") or _UNKNOWN}
    said |= {name: version for name, version in (about.get("versions") or {}).items() if version}
    return Section("What identifies it", (TEXTS["identity"]["digest"], _table(["what", "value"], said.items())))


def _left_out(about: Mapping[str, Any]) -> list[str]:
    left = about.get("left_out") or []
    named = "; ".join(f"{one.get('file')} ({one.get('reason')})" for one in left[:_NAMED])
    more = f"; and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
    return [f"Left out: {named}{more}."] if left else []


def _listed(said: Mapping[str, Any], part: str) -> str:
    """Return the values of a part that are known, in words."""
    return ", ".join(text.format(said[key]) for key, text in TEXTS["known"][part].items() if said.get(key) is not None)


def _table(header: list[str], body: Iterable[Iterable[str]]) -> Table:
    return Table(header, [[_line(cell) for cell in line] for line in body])


def _line(text: str) -> str:
    """Return one line that a terminal can show: a model may come from a stranger."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
