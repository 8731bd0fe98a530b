"""The one exception a user sees: a single line naming the file, the field and the remedy."""


class UserError(Exception):
    """Something the user can mend; `cli.py` prints it as one line and exits with status 2."""
