"""Shell completion: commands, options and file names."""

from __future__ import annotations

import io
from contextlib import redirect_stdout, suppress

import tyro

from .commands import Command

# tyro's function knows commands and options only: where a file or a folder is due, the shell's own names come.
BASH = """
_pinn_siren() {
  local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}"
  COMPREPLY=()
  case "${COMP_WORDS[1]}" in
    completion) COMPREPLY=($(compgen -W "bash zsh" -- "$word")); return ;;
  esac
  if [[ $COMP_CWORD -gt 1 && "$word" != -* && ( "$before" != -* || "$before" == --out ) ]]; then
    return
  fi
  _tyro_pinn_siren "$@"
}
complete -o default -F _pinn_siren pinn-siren
"""


def script(shell: str) -> str:
    """What a shell, ``"bash"`` or ``"zsh"``, reads to complete the command line."""
    printed = io.StringIO()
    with suppress(SystemExit), redirect_stdout(printed):
        tyro.cli(Command, prog="pinn-siren", args=["--tyro-print-completion", shell])  # type: ignore[call-overload]
    return printed.getvalue() + (BASH if shell == "bash" else "")
