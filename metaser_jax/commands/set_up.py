"""What sets metaser up: the speech encoder, and completion of commands, flags and choices by bash, zsh and fish."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from metaser_jax.commands import COMMANDS, configured
from metaser_jax.errors import check_choice
from metaser_jax.specs.commands import CompletionConfig, FetchEncoderConfig
from metaser_jax.specs.help_page import GENERAL, Option, options_of


def fetch_encoder(config: FetchEncoderConfig, arguments: list[str]) -> None:
    """Fetch the pretrained speech encoder that --features=encoder hears with, once, and keep it.

    metaser fetch-encoder

    It is GE2E's voice encoder of Resemblyzer 0.1.4 (Apache License 2.0), 15.7 MB from the package index by pip; nothing
    is installed and no code of it is run. What is kept are its weights, packed to 1.8 MB, and the licence.
    """
    from metaser_jax.recogniser.encoder_files import REQUIREMENT, fetch

    encoder, path, was_there = fetch(config.from_)
    size, said = path.stat().st_size, "There already" if was_there else "Fetched"
    print(
        f"{said}: {path}, {size:,} bytes, digest {encoder.digest}.\n"
        f"It is the voice encoder of {REQUIREMENT}, Apache License 2.0, packed. Vectors by it identify people.\n"
        "Next: metaser prepare ... keeps what it hears of corpora; --init=open-encoder starts from it."
    )


def completion(config: CompletionConfig, arguments: list[str]) -> None:
    """Print what makes a shell complete the commands, flags and choices of metaser.

    eval "$(metaser completion bash)"              # in ~/.bashrc
    eval "$(metaser completion zsh)"               # in ~/.zshrc, after compinit
    metaser completion fish > ~/.config/fish/completions/metaser.fish
    """
    shells = {"bash": _bash, "zsh": _zsh, "fish": _fish}
    print(shells[check_choice("metaser completion", arguments[0], shells)](), end="")


def _options() -> Iterator[tuple[str, list[Option]]]:
    """Yield each command and its flags, those that turn a switch off among them."""
    for name, command in COMMANDS.items():
        own = options_of(*configured(command))
        off = [one._replace(name=f"no{one.name}", short="") for one in own if not one.value]
        yield name, [*own, *GENERAL, *off]


def _bash() -> str:
    values, flags = [], []
    case = '            {}) words="{}" ;;'.format
    for name, options in _options():
        values += [case(f'"{name} --{one.name}"', " ".join(one.choices)) for one in options if one.choices]
        flags.append(case(name, " ".join(f"--{one.name}{'=' if one.value else ''}" for one in options)))
    return _filled("bash", COMMANDS=" ".join(COMMANDS), VALUES="\n".join(values), FLAGS="\n".join(flags))


def _zsh() -> str:
    commands = [f"            {shlex.quote(f'{name}:{command.what}')}" for name, command in COMMANDS.items()]
    flags = []
    for name, options in _options():
        own = []
        for one in options:
            about = re.sub(r"[\[\]:\\]", " ", _first_sentence(one.help))
            values = f"({' '.join(one.choices)})" if one.choices else "_files"
            takes = f"=[{about}]:{one.name}:{values}" if one.value else f"[{about}]"
            own.append(shlex.quote(f"--{one.name}{takes}"))
        flags.append(f"        {name}) _arguments {' '.join(own)} '*:file:_files' ;;")
    return _filled("zsh", COMMANDS="\n".join(commands), FLAGS="\n".join(flags))


def _filled(shell: str, **lines: str) -> str:
    """Return the script for a shell, completion.SHELL beside this file, with what stands there as @NAME@."""
    script = Path(__file__).with_name(f"completion.{shell}").read_text(encoding="utf-8")
    for name, text in lines.items():
        script = script.replace(f"@{name}@", text)
    return script


def _fish() -> str:
    head = "complete -c metaser -f -n __fish_use_subcommand -a"
    lines = [f"{head} {name} -d {_quoted(command.what)}" for name, command in COMMANDS.items()]
    for name, options in _options():
        of = f"complete -c metaser -n '__fish_seen_subcommand_from {name}'"
        for one in options:
            short = f" -s {one.short}" if one.short else ""
            takes = f" -x -a {_quoted(' '.join(one.choices))}" if one.choices else " -r" if one.value else ""
            lines.append(f"{of}{short} -l {one.name}{takes} -d {_quoted(_first_sentence(one.help))}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """Return text for fish, in whose quotes a backslash and a quote alone are escaped."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=[.;:]) ", text, maxsplit=1)[0].rstrip(".;:")
