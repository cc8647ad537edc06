"""Turns exceptions from code outside lbproxy into short reasons for error lines."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from OpenSSL.crypto import Error as CertificateError
from OpenSSL.SSL import Error as TLSError

_SAYINGS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (
        re.compile(
            r"missing \d+ required (?:positional|keyword-only) arguments?: (.*)"
        ),
        lambda found: "it lacks " + found[1].replace("'", '"'),
    ),
    (
        re.compile(r"unexpected keyword argument '(.*?)'"),
        lambda found: f'"{found[1]}" is not known to it',
    ),
    (
        # OpenSSL.SSL's, by way of CertificateOptions.
        re.compile(r"unrecognized keyword arguments present', \['(.*?)'"),
        lambda found: f'"{found[1]}" is not known to it',
    ),
    (
        re.compile(r"module '(.*?)' has no attribute '(.*?)'"),
        lambda found: f'{found[1]} has no "{found[2]}"',
    ),
    (
        re.compile(r"multiple values for argument '(.*?)'"),
        lambda found: f'"{found[1]}" is given twice',
    ),
    (
        re.compile(r"takes .* positional arguments? but \d+ (?:was|were) given"),
        lambda found: "it has too many parts",
    ),
    (
        re.compile(r"invalid literal for int\(\) with base 8: '(.*)'", re.DOTALL),
        lambda found: f'"{found[1]}" is not an octal number',
    ),
    (
        re.compile(r"invalid literal for int\(\) with base 10: '(.*)'", re.DOTALL),
        lambda found: f'"{found[1]}" is not a whole number',
    ),
)
"""Known messages, each with our wording.  Any other message is passed on unchanged."""


def cause(error: BaseException) -> str:
    """
    Say in a few words why an exception was raised.

    @param error: Any exception, from code outside lbproxy.
    """
    said = str(error)
    if isinstance(error, TypeError | ValueError | AttributeError):
        for pattern, saying in _SAYINGS:
            if found := pattern.search(said):
                return saying(found)
    if isinstance(error, CertificateError | TLSError):
        return f"the certificate or the key cannot be read: {_words(error)}"
    if isinstance(error, OSError) and error.strerror:
        path = _path(error)
        return f"{error.strerror}: {path}" if path else error.strerror
    if not said and error.__context__ is not None:
        # Twisted wraps what a directory listing raised in an empty error.
        return cause(error.__context__)
    if isinstance(error, ValueError) and said:
        return said
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _path(error: OSError) -> object:
    """The path that a system error is about."""
    if error.filename2 is None:
        return error.filename
    # Twisted locks a UNIX socket with a symbolic link beside it, to its process id.
    link = os.fsdecode(error.filename2)
    directory = os.path.dirname(link)
    return link if os.path.isdir(directory) else directory


def _words(error: Exception) -> str:
    """
    The reasons that OpenSSL gives.  Its errors hold a list of libraries, functions and
    reasons.
    """
    queue = error.args[0] if error.args else ""
    if not isinstance(queue, list):
        return str(error)
    reasons = {str(each[-1]) for each in queue if each}
    if reasons <= {"no start line", "unsupported"}:
        return "it is not PEM"
    return ", ".join(sorted(reasons))
