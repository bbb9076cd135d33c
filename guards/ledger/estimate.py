"""Estimate: the most tokens that a call can use, told beforehand and without a tokenizer's download.

High on purpose: a budget holds only when no call uses more than was set aside for it. The provider's own count
replaces the estimate after the call.
"""

from collections.abc import Iterable, Mapping
from typing import Any

CHARACTERS_PER_TOKEN = 3
"""English runs at about 4, dense text and JSON at about 3."""

DENSE_CHARACTERS_PER_TOKEN = 1.4
LONG_WORD = 20
"""Text whose words are longer than this is dense: base64, hashes, minified code."""

TOKENS_PER_EXTRA_BYTE = 0.6
"""For what is not ASCII: a Chinese character has 2 bytes more than one, and makes up to 1.5 tokens."""

TOKENS_PER_MESSAGE = 8
TOKENS_PER_MEDIUM = 3_000
"""An image, a sound or a file, whatever its size. State a larger `Policy(reply_tokens=...)` for long recordings."""

MEDIA = frozenset({"image", "image_url", "input_image", "audio", "input_audio", "video", "file", "document", "media"})
SENT_TOO = ("tools", "functions", "response_format", "tool_choice")
MAXIMA = ("max_completion_tokens", "max_tokens", "max_output_tokens")


def input_tokens(messages: Iterable[Any], parameters: Mapping[str, Any]) -> int:
    """Tokens that are sent: messages or plain prompts, with the tools' schemas and the like."""
    texts = sum(TOKENS_PER_MESSAGE + _tokens_of(message) for message in messages)
    return texts + sum(_tokens(str(parameters[key])) for key in SENT_TOO if parameters.get(key))


def output_tokens(parameters: Mapping[str, Any], default: int) -> int:
    """The most tokens that can come back: the call's own maximum, else the policy's `reply_tokens`; times its `n`."""
    most = next((parameters[key] for key in MAXIMA if parameters.get(key)), default)
    return int(most) * int(parameters.get("n") or 1)


def _tokens_of(message: Any) -> int:
    if isinstance(message, str):
        return _tokens(message)
    content = message.content
    parts = [content] if isinstance(content, str) else content
    calls = getattr(message, "tool_calls", None)
    return sum(map(_tokens_of_part, parts)) + (_tokens(str(calls)) if calls else 0)


def _tokens_of_part(part: Any) -> int:
    if isinstance(part, dict) and part.get("type") in MEDIA:
        return TOKENS_PER_MEDIUM
    return _tokens(part if isinstance(part, str) else str(part))


def _tokens(text: str) -> int:
    if text.isascii():
        return int(len(text) / _characters_per_token(text)) + 1
    extra = len(text.encode("utf-8", "replace")) - len(text)
    return int(len(text) / CHARACTERS_PER_TOKEN + extra * TOKENS_PER_EXTRA_BYTE) + 1


def _characters_per_token(text: str) -> float:
    words = text.count(" ") + text.count("\n") + 1
    return DENSE_CHARACTERS_PER_TOKEN if len(text) > LONG_WORD * words else CHARACTERS_PER_TOKEN
