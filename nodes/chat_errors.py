"""What a model server can do wrong, said in one line, with no secret in it, and whether another try may help."""

import re
import time
from email.utils import parsedate_to_datetime

import httpx2
import openai
from langchain_core.exceptions import ContextOverflowError

from guards.errors import Interlock, Permanent, Transient

DETAIL_CHARACTERS = 200
_SECRET = re.compile(r"(?i)\b(?:sk-|bearer )[\w.+/=-]{4,200}")


class ModelDown(Transient):
    """A failed call that may work later. `status_code`: HTTP status of the refusal, None when nothing was answered."""

    def __init__(self, message: str, retry_after: float | None = None, status_code: int | None = None) -> None:
        super().__init__(message, retry_after)
        self.status_code = status_code


class ModelRefused(Permanent):
    """A call that will fail again. `status_code`: HTTP status of the refusal, None when the reply itself is wrong."""

    def __init__(self, message: str, status_code: int | None = None) -> None:
        super().__init__(message)
        self.status_code = status_code


def plain(error: Exception, key: str = "") -> Exception:
    """Say in one line, without secrets, what went wrong and whether a retry may help.

    Args:
        error: Whatever the SDK, the HTTP client or the parser raised.
        key: The API key, to be struck out should the server echo it.
    """
    ours = _ours(error)
    if ours is not None:
        return ours
    if isinstance(error, openai.APIStatusError):
        return _status(error, key)
    if isinstance(error, ContextOverflowError):
        return ModelRefused("the prompt is longer than the model's context; choose a model with a larger one")
    if isinstance(error, (TimeoutError, openai.APITimeoutError, httpx2.TimeoutException)):
        return ModelDown("the model did not answer in time")
    if isinstance(error, (openai.APIConnectionError, httpx2.HTTPError, OSError)):
        return ModelDown("the connection to the model server failed; check OPENAI_BASE_URL and that it is running")
    if isinstance(error, openai.LengthFinishReasonError):
        return ModelRefused("the model's reply was cut at its token limit")
    if isinstance(error, openai.ContentFilterFinishReasonError):
        return ModelRefused("the model server's content filter withheld the reply")
    shape = type(error).__name__
    return ModelDown(f"the model server's reply is not in OpenAI's form ({shape}); check OPENAI_BASE_URL")


def _ours(error: BaseException | None) -> Interlock | None:
    """An error of ours, also when the SDK wrapped it."""
    for _ in range(8):
        if error is None or isinstance(error, Interlock):
            return error
        error = error.__cause__
    return None


_CURES = {
    401: "check OPENAI_API_KEY",
    402: "the account has no credit",
    403: "the key may not use this model",
    404: "check INTERLOCK_MODEL and OPENAI_BASE_URL",
}
_PASSING = (408, 409, 425, 429)


def _status(error: openai.APIStatusError, key: str) -> Exception:
    status = error.status_code
    cure = f"; {_CURES[status]}" if status in _CURES else ""
    message = f"the model server answered {status}{cure}: {_detail(error, key)}"
    if isinstance(error, ContextOverflowError) or error.code == "context_length_exceeded":
        return ModelRefused(f"the prompt is longer than the model's context ({status}); choose a larger model", status)
    if error.code == "insufficient_quota" or not (status in _PASSING or status >= 500):
        return ModelRefused(message, status)
    return ModelDown(message, _retry_after(error.response.headers), status)


def _detail(error: openai.APIStatusError, key: str) -> str:
    body = error.body if isinstance(error.body, dict) else {}
    said = str(body.get("message") or error.message)[: 4 * DETAIL_CHARACTERS]
    return _SECRET.sub("[key]", said.replace(key, "[key]") if key else said)[:DETAIL_CHARACTERS]


def _retry_after(headers: httpx2.Headers) -> float | None:
    """Seconds from Retry-After, given as a number or a date; None when there is none that makes sense."""
    value = headers.get("retry-after", "")[:64]
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except ValueError:
            return None
    return max(0.0, seconds) if seconds < float("inf") else None
