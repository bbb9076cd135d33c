"""Unseen: characters that a reader does not see and a terminal, a browser or a model obeys.

Kept are those that writing needs: joiners between letters of scripts that use them and between emoji, one variation
selector behind a character, the tags of a flag. Linear: every pattern is one class of characters.
"""

import re
from typing import Final

from guards.scan.letters import letters

_BIDI: Final = "\u202a-\u202e\u2066-\u2069"
_EMOJI: Final = "\u00a9\u00ae\u203c-\u3299\U0001f000-\U0001faff\ufe0f\U0001f3fb-\U0001f3ff"
_FLAG: Final = "\U0001f3f4[\U000e0061-\U000e007a\U000e0030-\U000e0039]{2,6}\U000e007f"
_COMMANDS: Final = re.compile(
    f"({_FLAG})"
    "|[\x07\x08\x0e\x0f\x7f\x90\x98\x9b\x9d-\x9f]|\r(?!\n)"  # what a terminal obeys
    "|\x1b(?:\\[[0-?]{0,32}[ -/]{0,8}[@-~]?|\\][^\x07\x1b]{0,400}(?:\x07|\x1b\\\\)|[@-Z\\\\-_])?"
    f"|[{_BIDI}]|[\U000e0000-\U000e007f]|[\ud800-\udfff]"
)
_SILENT: Final = re.compile(
    "[\x00-\x06\x0b\x10-\x1a\x1c-\x1f\x80-\x8f\x91-\x97\x99\x9a\x9c\u00ad\u034f\u061c\u180e\u200b\u2060-\u2064\u206a-\u206f\ufeff"
    "\ufff9-\ufffb\U0001d173-\U0001d17a]"
    "|(?<=[\ufe00-\ufe0f\U000e0100-\U000e01ef])[\ufe00-\ufe0f\U000e0100-\U000e01ef]"
    "|(?<![^\x00-\x7f])[\ufe00-\ufe0d\U000e0100-\U000e01ef]|[\U000e0100-\U000e01ef](?=[\U000e0100-\U000e01ef])"
    f"|(?<![{_EMOJI}])(?<![^\x00-\x7f])\u200d|\u200d(?![^\x00-\x7f])"
    "|(?<![^\x00-\x7f])\u200c|\u200c(?![^\x00-\x7f])|[\u200c\u200d](?=[\u200b-\u200d])"
    "|(?<![^\x00-\x7f])[\u200e\u200f](?![^\x00-\x7f])"
)
_ANY: Final = re.compile(
    f"[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u180e\u200b-\u200f\u2060-\u206f{_BIDI}\ufe00-\ufe0f\ufeff\ufff9-\ufffb"
    "\U0001d173-\U0001d17a\U000e0000-\U000e01ef\ud800-\udfff]"
)
"""Every match of the two above has one of these."""

_WORD: Final = re.compile(r"\w+")


def seen(text: str) -> str:
    """The text without what nobody sees; nothing more changes when it is done again."""
    if is_plain(text):
        return text
    while (less := _SILENT.sub("", without_commands(text))) != text:
        text = less
    return text


def is_plain(text: str) -> bool:
    """Whether a text has none of the characters that anything here is about; one quick look."""
    if text.isascii():
        return text.replace("\n", " ").replace("\t", " ").isprintable()
    return _ANY.search(text) is None


def without_commands(text: str) -> str:
    """The text without what a terminal or a reader obeys unseen: control, ANSI, bidi and tag characters."""
    return text if is_plain(text) else _COMMANDS.sub(lambda found: found[1] or "", text)


def in_one_script(text: str) -> str:
    """The text with look-alikes of other scripts inside Latin words in Latin letters."""
    return text if text.isascii() else _WORD.sub(_one_script, text)


def _one_script(word: re.Match[str]) -> str:
    if word[0].isascii() or not any(c.isascii() and c.isalpha() for c in word[0]):
        return word[0]
    return "".join(map(_alike, word[0]))


def _alike(character: str) -> str:
    if (
        character < "\u0370"
        or "\u0590" < character < "\u1c80"
        or "\u1e00" <= character < "\u1f00"
        or character > "\u2c00"
    ):
        return character  # Latin with marks stays, as do scripts that nobody takes for Latin
    look = letters[ord(character)]
    return character if len(look) != 1 or not look.isascii() else look.upper() if character.isupper() else look
