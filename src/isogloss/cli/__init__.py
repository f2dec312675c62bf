"""The command line: parse, call the Python API, show progress."""

import os
import signal
import sys
from typing import TYPE_CHECKING

from cyclopts import App, CycloptsError

from isogloss import __version__
from isogloss.cli.harmless import harmless, harmless_output
from isogloss.errors import IsoglossError
from isogloss.interrupts import Ended, Interrupted, ending

if TYPE_CHECKING:
    from rich.console import Console

_SIGNAL = 128
"""A shell's exit code for a command that a signal ended is this much more than the signal."""

_ENVIRONMENT = {
    "OMP_WAIT_POLICY": "PASSIVE",  # else idle threads spin, and a busy machine slows to a crawl
    "TOKENIZERS_PARALLELISM": "false",  # else it warns about forks
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",  # else it draws over ours
}
"""Set before anything heavy is imported. The user's own values win."""

app = App(
    name="isogloss",
    help="Show where languages and modalities meet inside a speech-text foundation model.",
    help_epilogue="Start with `isogloss demo`. Then `isogloss init` writes a study to fill in, "
    "`isogloss plan` says what it would do, and `isogloss run` does it.",
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
    version=__version__,
    version_flags=["--version"],
)

# Commands are named by import path, so that help does not import the numerics.
for _name, _where, _help in (
    ("demo", "commands:demo", "Run a small study on bundled sentences, and write its report."),
    ("run", "commands:run", "Do a study, or what is missing of it."),
    ("paper", "paper:paper", "Do the whole experiment of the paper for one model."),
    ("plan", "commands:plan", "Say what a study would do, how large and how long; run nothing."),
    ("status", "commands:status", "Show what is done, failed and pending in an output folder."),
    ("report", "commands:report", "Draw the figures and write the report from stored scores."),
    ("sensitivity", "sensitivity:sensitivity", "Show how the conclusion moves with the choices."),
    ("together", "together:together", "Compare several models in one report."),
    ("compare", "compare:compare", "Compare two runs, or two checkpoints, paired."),
    ("check", "check:check", "Fail if a gap is too large, or has grown; for CI."),
    ("verify", "commands:verify", "Check every stored file against its record."),
    ("conformance", "conformance:conformance", "Test an implementation of a measure."),
    ("check-model", "check_model:check_model", "Check that a model is read as it should be."),
    ("init", "commands:init", "Write a study file with every setting, commented."),
    ("list", "listings:everything", "List all parts with their licences."),
    ("models", "listings:models", "List the model families."),
    ("corpora", "listings:corpora", "List the corpora."),
    ("measures", "listings:measures", "List the similarity measures."),
    ("analyses", "listings:analyses", "List the analyses."),
    ("executors", "listings:executors", "List where work can run."),
    ("languages", "listings:languages", "List the languages with their codes."),
):
    app.command(f"isogloss.cli.{_where}", name=_name, help=_help)

_corpus = App(name="corpus", help="Look into a corpus.")
_corpus.command("isogloss.cli.corpus:show", name="show", help="Count what a corpus holds.")
app.command(_corpus)


def main() -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 wrong usage, 130 or 143 stopped."""
    sys.exit(call(sys.argv[1:]))


def call(arguments: list[str]) -> int:
    """Run one command and return its exit code."""
    from rich.console import Console

    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    with ending(), harmless_output():
        return _call(arguments, Console(stderr=True, soft_wrap=True))


def _call(arguments: list[str], console: "Console") -> int:
    try:
        code = app(arguments, exit_on_error=False, result_action="return_value")
        return int(code or 0)
    except CycloptsError:
        return 2
    except IsoglossError as error:
        console.print(f"[bold red]error:[/] {_plain(error)}")
        return error.exit_code
    except Interrupted as error:
        what = str(error) or "stopped; what was finished is kept"
        console.print(f"{_plain(what)}; the same command goes on from here")
        return _SIGNAL + error.signal
    except KeyboardInterrupt as error:
        console.print("interrupted: what was committed is kept; the same command goes on from here")
        return _SIGNAL + (error.signal if isinstance(error, Ended) else signal.SIGINT)
    except BrokenPipeError:
        # The reader of a pipe (head, less) has gone; there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _plain(error: Exception | str) -> str:
    from rich.markup import escape

    return escape(harmless(str(error)))
