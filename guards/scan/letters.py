"""Letters: each character as a reader sees it, in plain lower-case Latin where it looks like that.

Compatible forms, marks, look-alikes of other scripts, letters in circles and squares. One character at a time:
normalising a whole text is quadratic in a run of combining marks.
"""

import re
import unicodedata
from typing import Final

KEPT: Final = 4_096
"""Characters whose form is remembered."""

_LOOK_ALIKES: Final = dict(
    zip(
        "авеёзийкмнорстухьѕіјԁԛԝһӏɡɑαβεηικμνορτυχγωϲϳςԌԍոսցօհոզʀɪʟɴʜʏᴀᴄᴅᴇᴊᴋᴍᴏᴘᴛᴜᴠᴡᴢ∂ℓ¡ǃ",
        "abeezийkmhopctyxbsijdqwhlgaabenikuvoptuxywcjcggnugohnqrilnhyacdejkmoptuvwzdlii",
        strict=False,
    )
)
_NAMED: Final = re.compile(
    r"(?:NEGATIVE |LATIN|CIRCLED|SQUARED|PARENTHESIZED|REGIONAL INDICATOR|TURNED|CAPITAL|FRAKTUR|MATHEMATICAL)"
    r".{0,60}(?:LETTER|CAPITAL|SMALL) (?:SIDEWAYS |REVERSED |TURNED |OPEN |SMALL CAPITAL |DOTLESS )?([A-Z])(?: WITH.{0,60})?"
)
_UNSEEN: Final = ("Mn", "Me", "Cf", "Cs", "Co")


class _Letters(dict[int, str]):
    """Filled as characters are met."""

    def __missing__(self, code: int) -> str:
        if len(self) > KEPT:
            self.clear()
        self[code] = found = _letter(chr(code))
        return found


def _letter(character: str) -> str:
    if unicodedata.category(character) in _UNSEEN:
        return ""
    forms = unicodedata.normalize("NFKD", character)
    seen = "".join(c for c in forms if unicodedata.category(c) not in _UNSEEN).lower()
    if seen.isascii() and len(seen) <= 4:  # one character can stand for 18
        return seen
    lower = seen[:1] or character.lower()
    if lower in _LOOK_ALIKES:
        return _LOOK_ALIKES[lower]
    named = _NAMED.fullmatch(unicodedata.name(character, ""))
    return named[1].lower() if named else lower


letters: Final = _Letters()
"""By code point; the empty string for what nobody sees."""
