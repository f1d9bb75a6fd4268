"""The command line: ``jaxinv reconstruct``, ``simulate``, ``sweep``, ``train``, ``reproduce``."""

from __future__ import annotations

import argparse
import difflib
import importlib
import io
import os
import re
import sqlite3
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

_EXAMPLE = """\
example:
  jaxinv reconstruct noisy.png --operator identity --noise-std 0.1 --out clean.png
                                         your own measurement; also mask, blur, mri
  jaxinv simulate camera --ratio 0.25    a known photo from a quarter of the measurements
  jaxinv sweep nonexpansive-2layer       a phase diagram of generative recovery
  jaxinv train alista                    a network for sparse recovery, in a minute
  jaxinv reproduce --list                the published results it can check
"""


NAMES = ("reconstruct", "simulate", "sweep", "train", "reproduce", "store")

# arguments of the library's functions whose options have other names
_OPTIONS = {
    "name_or_path": "IMAGE",
    "num_devices": "--devices",
    "num_seeds": "--seeds",
    "num_starts": "--starts",
    "num_steps": "--steps",
    "num_trials": "--trials",
    "num_workers": "--workers",
    "snr_db": "--snr",
    "source": "DATA",
}


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line with a guess; it takes no option by its first letters."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        text = _visible(f"{self.prog}: {message.rstrip('.?')}")
        end = "?" if message.endswith("?") else "."
        self.exit(2, f"{text}{end} See {self.prog} --help\n")

    def parse_known_args(self, *given: Any, **named: Any) -> Any:
        """Refuse here what this command does not know; the commands above would not guess it."""
        options, unknown = super().parse_known_args(*given, **named)
        if unknown:
            guesses = (_guess(word.partition("=")[0], self._known()) for word in unknown)
            hint = next(filter(None, guesses), "")
            self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
        return options, unknown

    def _known(self) -> list[str]:
        return [name for action in self._actions for name in action.option_strings]

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            names = [str(name) for name in action.choices]
            listed = "" if _guess(value, names) else f" (choose from {', '.join(names)})"
            text = f"invalid choice: {value!r}{listed}{_guess(value, names)}"
            raise argparse.ArgumentError(action, text)


def _guess(word: str, names: Sequence[str]) -> str:
    """Return the name that was probably meant, as the end of a message."""
    close = difflib.get_close_matches(word, names, n=1) if word else []
    return f". Did you mean {close[0]}?" if close else ""


def _parser(names: Sequence[str] = NAMES) -> argparse.ArgumentParser:
    """Return the parser with the subcommands of these names."""
    import jaxinv

    parser = _Parser(
        prog="jaxinv",
        description="Inverse problems with deep priors: reconstructions, sweeps, training, "
        "reproductions.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"jaxinv {jaxinv.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=_Parser)
    for name in names:
        importlib.import_module(f"jaxinv._commands.{name}").add_parser(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0, or 2 for bad input, 130 for Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):  # signs that a terminal lacks must not end a command
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        return _run(arguments)
    except BrokenPipeError:  # the reader of a pipe, such as head, has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except ModuleNotFoundError as error:
        hint = "Install the extras: python -m pip install 'jaxinv[all]'"
        print(f"jaxinv: {error.name} is needed for this command. {hint}", file=sys.stderr)
    except (ValueError, TypeError, OSError, ArithmeticError, ImportError) as error:
        print(f"jaxinv: {_one_line(error, _options(arguments))}", file=sys.stderr)
    except (MemoryError, RuntimeError, sqlite3.Error) as error:
        text = str(error).partition("\n")[0] or type(error).__name__
        print(f"jaxinv: {type(error).__name__}: {text}", file=sys.stderr)
    except KeyboardInterrupt:
        print("jaxinv: interrupted", file=sys.stderr)
        return 130
    return 2


def _options(arguments: Sequence[str] | None) -> set[str]:
    """Return the options of the command that was asked for."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parsers: list[Any] = [_parser([name for name in NAMES if name in arguments[:1]])]
    found = set()
    for parser in parsers:
        for action in parser._actions:
            found.update(action.option_strings)
            if isinstance(action, argparse._SubParsersAction):
                parsers.extend(action.choices.values())
    return found


def _one_line(error: BaseException, options: set[str]) -> str:
    """Return the message in the names of options, control characters made visible."""
    text = _visible(str(error)).replace("overwrite=True", "--overwrite")
    where, colon, rest = text.partition(": ")
    named, must, expected = rest.partition(" must ")
    if "--max-bytes" in options:
        expected = expected.replace("Pass max_bytes=", "Pass --max-bytes ")
    if not must or not re.fullmatch(r"[\w-]+( and [\w-]+)*", named):
        return f"{where}{colon}{named}{must}{expected}"
    named = " ".join(_as_option(name, options) for name in named.split())
    return f"{where}{colon}{named}{must}{expected}"


def _visible(text: str) -> str:
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _as_option(name: str, options: set[str]) -> str:
    """Return the option for an argument of the library's, where one goes by its name."""
    option = _OPTIONS.get(name, f"--{name.replace('_', '-')}")
    return option if option in options or not option.startswith("--") else name


def _run(arguments: Sequence[str] | None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    named = [name for name in NAMES if name in arguments[:1]]
    parser = _parser(named or NAMES)  # help, and the error of a wrong name, list them all
    options = parser.parse_args(arguments)
    if not hasattr(options, "run"):
        parser.print_help()
        return 0
    return options.run(options)


def add_seed(parser: Any) -> None:
    """Add ``--seed``."""
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the root key")


def add_budget(parser: Any, text: str) -> None:
    """Add ``--max-bytes``."""
    parser.add_argument("--max-bytes", type=int, default=2**30, metavar="N", help=text)


def root_key(where: str, options: argparse.Namespace) -> Any:
    """Return the key of ``--seed``."""
    import jax

    from jaxinv._core import checks

    if not 0 <= options.seed < 2**32:
        checks.fail(where, "seed", "be in [0, 2**32)", options.seed)
    return jax.random.key(options.seed)


if __name__ == "__main__":
    raise SystemExit(main())
