"""The one exception a caller of fdcn is meant to catch, and what of it a server answers otherwise."""


class FdcnError(Exception):
    """Something the user can mend: the message says what was found, what was wanted and what to do.

    The command line prints the message as one line and exits with status 1. Every other exception
    is a defect in fdcn and keeps its traceback.
    """


class OutOfMemory(FdcnError):
    """Pictures need more memory than this machine has free: fewer, smaller or later ones may not."""
