"""Reads a configuration from a TOML file."""

from __future__ import annotations

import tomllib
from pathlib import Path

from ..words.place import ConfigurationError
from .model import Configuration
from .whole import configurationFromMapping

_MARK = "\ufeff"
"""The byte order mark, which some editors write before the text."""

_QUOTES = (
    r"; in double quotes each backslash is written twice, in single quotes once: "
    r"'tcp:\:\:1:9001'"
)


def loadConfiguration(path: str) -> Configuration:
    """
    Read a configuration file.

    @param path: The path of the file, absolute or relative to the current directory.
        Errors show it as it is given.
    @raise ConfigurationError: If the file cannot be read, or something in it cannot be
        used.
    """
    try:
        content = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        # Python raises ValueError for a path that no file can have.
        cause = getattr(error, "strerror", None) or error
        raise ConfigurationError(f"{path}: cannot be read: {cause}") from None
    return configurationFromMapping(
        documentFromText(textFromBytes(content, path), path), path
    )


def configurationFromText(text: str, source: str) -> Configuration:
    """
    Make a configuration from the text of a file.

    @param text: TOML, with or without a byte order mark before it.
    @param source: The name of the file in errors.
    @raise ConfigurationError: If the text is not TOML, or something in it cannot be
        used.
    """
    return configurationFromMapping(documentFromText(text, source), source)


def textFromBytes(content: bytes, source: str) -> str:
    """
    Decode the content of a file.

    @param content: UTF-8, with or without a byte order mark before it.
    @param source: The name of the file in errors.
    @raise ConfigurationError: If it is not UTF-8.
    """
    try:
        return content.decode("utf-8").removeprefix(_MARK)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{source}: is not UTF-8 (at line {line})") from None


def documentFromText(text: str, source: str) -> dict[str, object]:
    """
    Parse the text of a TOML file.

    @param source: The name of the file in errors.
    @raise ConfigurationError: If it is not TOML.
    """
    try:
        return tomllib.loads(text.removeprefix(_MARK))
    except RecursionError:
        raise ConfigurationError(f"{source}: is nested too deeply") from None
    except ValueError as error:
        # TOMLDecodeError, or a number with more digits than int reads.
        hint = _QUOTES if "Unescaped '\\'" in str(error) else ""
        raise ConfigurationError(f"{source}: is not TOML: {error}{hint}") from None
