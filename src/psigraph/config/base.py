"""What every section of the configuration is made of."""

import difflib
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]


class ConfigError(ValueError):
    """The configuration cannot be used; the message names the file, the key, the value and the remedy."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def did_you_mean(word: str, known: Any) -> str:
    """Return ` (did you mean 'x'?)`, or nothing where no known word is close."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
