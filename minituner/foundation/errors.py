"""The one exception a user sees: a single line naming the file, the field and the remedy."""

import re


class UserError(Exception):
    """Something the user can mend; `cli.py` prints it as one line and exits with status 2."""

    def __str__(self) -> str:
        """The message, with what it quotes from a file cut to a readable length."""
        text = re.sub(r"\S{300,}", lambda word: word[0][:200] + "…", super().__str__())
        return text if len(text) <= 2000 else text[:2000] + "…"
