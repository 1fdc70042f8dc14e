"""Reading a command line: what cannot be read is said in one message, with the nearest valid name."""

from __future__ import annotations

import inspect
import io
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import tyro

from .commands import COMMANDS, Command
from .errors import UsageError, suggest

PROGRAM = "pinn-siren"


def parse(arguments: Sequence[str]) -> tuple[Any, list[str]]:
    """The command, and what is left over for the options of a problem file. Raises ``UsageError``; --help exits."""
    name = arguments[0] if arguments else None
    if name is None or (name not in COMMANDS and name not in ("-h", "--help")):
        near = "" if name is None else suggest(name, COMMANDS)
        came = "Name a command" if name is None else f"{name!r} is no command"
        raise UsageError(f"{came}: {PROGRAM} has {', '.join(COMMANDS)}; see {PROGRAM} --help.{near}")
    options = options_of(COMMANDS.get(name, object))
    where = f"{PROGRAM} {name}"
    command, own = _read(Command, arguments, where, options, prog=PROGRAM, return_unknown_args=True)
    if own and not getattr(command, "files", None):
        raise _unknown(own[0], where, options, hasattr(command, "files"))
    return command, own


def parse_own(make: Callable[..., Any], path: Path, own: list[str], command: type) -> dict[str, Any]:
    """The arguments of a file's ``problem`` function from what a command line holds beside the command's options."""
    try:
        signature = inspect.signature(make)
        signature.bind()
    except TypeError:
        raise UsageError(
            f"{path}: problem() needs a default for every argument, so that it runs without options."
        ) from None
    if not own:
        return {}
    chosen: dict[str, Any] = {}

    def keep(**arguments: Any) -> None:
        chosen.update(arguments)

    keep.__signature__ = signature  # type: ignore[attr-defined]
    keep.__annotations__ = dict(getattr(make, "__annotations__", {}))
    keep.__doc__ = make.__doc__
    hints = _hints(make)
    options = {_dashed(n): hints.get(n, type(p.default)) for n, p in signature.parameters.items()}
    unknown = next((a for a in own if a.startswith("-") and not _number(a) and _bare(a) not in options), None)
    if unknown is not None and unknown not in ("-h", "--help") and _bare(unknown).replace("--no-", "--") not in options:
        raise refuse(unknown, path, options, command)
    try:
        _read(keep, own, f"{PROGRAM} ... {path}", options, prog=f"{PROGRAM} ... {path}")
    except UsageError:
        raise
    except Exception as error:
        # tyro has no common class for the annotations that it cannot read.
        reason = " ".join(str(error).split())
        raise UsageError(
            f"{path}: the arguments of problem() cannot be options ({reason}): annotate each with int, float, str or "
            "bool."
        ) from None
    return chosen


def refuse(option: str, path: Path, own: Mapping[str, Any], command: type) -> UsageError:
    """What to say of an option that neither the command nor the problem of a file has."""
    name = next(n for n, kind in COMMANDS.items() if kind is command)
    valid = options_of(command)
    has = f"the problem of {path} has {', '.join(own)}" if own else f"{path} sets a problem that takes none"
    what = "option" if option.startswith("-") else "argument"
    return UsageError(
        f"{_bare(option)} is no {what} of {PROGRAM} {name}, and {has}.{suggest(_bare(option), [*own, *valid])}"
    )


def options_of(command: type) -> dict[str, Any]:
    """The options of a command by name, with their types."""
    hints = typing.get_type_hints(command)
    return {_dashed(n): hints[n] for n in hints if n not in ("files", "folders", "file", "shell")}


def _read(what: Any, arguments: Sequence[str], where: str, options: Mapping[str, Any], **how: Any) -> Any:
    """tyro's reading; its framed complaint becomes one sentence."""
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            return tyro.cli(what, args=list(arguments), **how)
    except SystemExit as ended:
        if not ended.code:
            raise
        raise UsageError(f"{_wrong_value(arguments, options) or _unframed(said.getvalue())} See {where} --help.") from (
            None
        )


def _wrong_value(arguments: Sequence[str], options: Mapping[str, Any]) -> str | None:
    """The first option whose value is missing or of another kind."""
    for i, argument in enumerate(arguments):
        option, kind = _bare(argument), options.get(_bare(argument), bool)
        parts = [kind, *get_args(kind)] if get_origin(kind) in (Union, types.UnionType) else [kind]
        if bool in parts:
            continue
        follows = arguments[i + 1] if i + 1 < len(arguments) else None
        value = argument.partition("=")[2] if "=" in argument else follows
        choices = [str(c) for part in parts if get_origin(part) is Literal for c in get_args(part)]
        takes = (
            f"one of {', '.join(choices)}" if choices
            else "a number" if float in parts else "a whole number" if int in parts else "a value"
        )  # fmt: skip
        if value is None or (value.startswith("--") and "=" not in argument):
            return f"{option} needs a value: {takes}."
        if choices and value not in choices:
            return f"{option} takes {takes}; got {value!r}.{suggest(value, choices)}"
        if (float in parts and not _number(value)) or (int in parts and float not in parts and not _whole(value)):
            return f"{option} takes {takes}; got {value!r}."
    return None


def _unknown(argument: str, where: str, options: Mapping[str, Any], has_files: bool) -> UsageError:
    if not argument.startswith("-"):
        return UsageError(f"{where} cannot use {argument!r}; see {where} --help.")
    later = " Options of a problem itself come after its file." if has_files else ""
    return UsageError(
        f"{_bare(argument)} is no option of {where}; see {where} --help.{suggest(_bare(argument), options)}{later}"
    )


def _unframed(said: str) -> str:
    """The sentences in tyro's frame, up to its first rule."""
    lines = []
    for line in said.splitlines()[1:]:
        text = line.strip("│ ")
        if not text.strip("─╰╯"):
            break
        lines.append(text)
    sentence = " ".join(lines)
    return sentence[:1].upper() + sentence[1:].rstrip(".") + "."


def _hints(make: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(make)
    except (NameError, TypeError):
        return {}


def _bare(argument: str) -> str:
    return argument.partition("=")[0].replace("_", "-")


def _dashed(name: str) -> str:
    return "--" + name.replace("_", "-")


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _whole(text: str) -> bool:
    try:
        int(text)
    except ValueError:
        return False
    return True
