"""completion: print a script that completes commands, options and values in a shell."""

from __future__ import annotations

import argparse
import shlex
from argparse import Action, ArgumentParser, Namespace
from collections.abc import Iterator
from dataclasses import dataclass

NAME = "completion"
EPILOG = """\
bash: put  eval "$(onnx-lrp completion bash)"  into ~/.bashrc
zsh:  put  eval "$(onnx-lrp completion zsh)"  behind compinit into ~/.zshrc
fish: onnx-lrp completion fish > ~/.config/fish/completions/onnx-lrp.fish

Exit code: 0 done, 2 no such shell."""

# Bash's functions, for zsh through its bashcompinit; a value that is none of the words may be a file
BASH = """\
_onnx_lrp() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" words=""
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    words={commands}
  else
    case "${{COMP_WORDS[1]}} $before" in
{values}
      *) case "$current" in -*) case "${{COMP_WORDS[1]}}" in
{options}
      esac;; esac;;
    esac
  fi
  if [ -n "$words" ]; then COMPREPLY=($(compgen -W "$words" -- "$current")); fi
}}
complete -o default -F _onnx_lrp onnx-lrp"""
ZSH = "autoload -U +X bashcompinit && bashcompinit"


def add_arguments(parser: ArgumentParser) -> None:
    """The options of ``onnx-lrp completion``."""
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="which shell")


def run(args: Namespace) -> int:
    """Print the script; always 0."""
    commands = list(_commands(args.parser))
    print("\n".join(_fish(commands)) if args.shell == "fish" else _bash(commands, args.shell == "zsh"))
    return 0


@dataclass(frozen=True)
class Completed:
    """A command: its name, what it is for, and its options with their help and the values they choose from."""

    name: str
    about: str
    options: tuple[tuple[Action, tuple[str, ...]], ...]


def _commands(parser: ArgumentParser) -> Iterator[Completed]:
    """All of a parser, which is the only source: what completes is what is understood."""
    (group,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    named = _named()
    for about in group._choices_actions:
        actions = group.choices[about.dest]._actions
        options = tuple((a, tuple(map(str, a.choices or named.get(a.dest, ())))) for a in actions)
        yield Completed(about.dest, about.help or "", options)


def _named() -> dict[str, tuple[str, ...]]:
    """Values that have names, but may also be written otherwise, by what argparse calls the option."""
    from ..batch.order import SAVED
    from ..composites import presets
    from ..model.profile import DEFAULTS
    from ..pictures.preprocessing import PREPROCESSINGS

    composites = tuple(info.name for info in presets())
    return {"composite": composites, "composites": composites, "name": composites,
            "profile": tuple(DEFAULTS), "preprocess": tuple(PREPROCESSINGS),
            "save": SAVED, "only": ("wrong", "class="), "label": ("folder",), "batch_size": ("auto",)}  # fmt: skip


def _bash(commands: list[Completed], zsh: bool) -> str:
    values, options = [], []
    for command in commands:
        flags = [flag for action, _ in command.options for flag in action.option_strings]
        options.append(f"        {command.name}) words={shlex.quote(' '.join(flags))};;")
        for action, words in command.options:
            before = action.option_strings or [command.name]
            patterns = "|".join(f"'{command.name} {word}'" for word in before)
            values += [f"      {patterns}) words={shlex.quote(' '.join(words))};;"] if words else []
    names = shlex.quote(" ".join(command.name for command in commands))
    script = BASH.format(commands=names, values="\n".join(values), options="\n".join(options))
    return f"{ZSH}\n{script}" if zsh else script


def _fish(commands: list[Completed]) -> Iterator[str]:
    for command in commands:
        yield f"complete -c onnx-lrp -n __fish_use_subcommand -f -a {command.name} -d {_fished(command.about)}"
        here = f"complete -c onnx-lrp -n '__fish_seen_subcommand_from {command.name}'"
        for action, words in command.options:
            flags = " ".join(f"-{'l' if flag.startswith('--') else 's'} {flag.lstrip('-')}" for flag in
                             action.option_strings)  # fmt: skip
            takes = " -r" if flags and action.nargs != 0 else ""
            values = f" -a {_fished(' '.join(words))}" if words else ""
            if flags or values:
                yield f"{here} {flags}{takes}{values} -d {_fished(_help(action))}"


def _help(action: Action) -> str:
    return ((action.help or "") % {"default": action.default}).partition("(default")[0].strip()


def _fished(text: str) -> str:
    """In quotes of fish, where only ``\\`` and ``'`` are special."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
