"""PII: numbers and addresses of people, found by shape and kept by what makes them valid (guide: G2).

Candidates are found in one linear pass each; checksums, lengths and registries decide: Luhn and issuer for cards, mod
97 and the country's length for IBANs, `ipaddress`, the numbering plans of libphonenumber. Units: characters.
"""

import ipaddress
import re
from collections.abc import Iterator
from typing import Final

from guards.scan.verdict import Span

SEPARATORS: Final = " .\u00a0\u2009\u202f\u2010\u2011\u2012\u2013\u2014\u2015/_-"
_DIGITS: Final = re.compile(rf"(?<![\w.,+])(?<!\d-)\d(?:[{re.escape(SEPARATORS)}]{{0,2}}\d){{11,29}}(?!\w)(?![.,]\d)")
_IBAN: Final = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]){11,30}(?![A-Za-z0-9])")
_SSN: Final = re.compile(r"(?<![\d-])\d{3}(?:-?\d{2}-?| \d{2} )\d{4}(?![\d-])(?!\.\d)")
_SSN_SHAPE: Final = re.compile(r"\d{3}[- ]?\d{2}[- ]?\d{4}")
_LETTER_DIGITS: Final = re.compile(r"\d\d[ -]?[A-Za-z0-9]{2}")
"""What a text without the numbers above lacks: begun with a digit, they are looked for far faster than those."""

_SSN_NEAR: Final = re.compile(r"(?i)ssn|social|security|itin|tax")
_V4: Final = re.compile(r"(?<![\w.])(?<!v\.)\d{1,3}(?:\.\d{1,3}){3}(?![\w]|\.\d)")
_V6: Final = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}(?:[0-9A-Fa-f]{1,4}|\d{1,3}(?:\.\d{1,3}){3})?(?![\w:])")
_VERSION: Final = re.compile(r"(?i)(?:version|release|\bv|section|chapter|build|firmware|oid)[ :=]{0,3}$")
_EMAIL: Final = re.compile(
    r"(?<![\w.%+-])[\w.%+-]{1,64}@(?:[\w-]{1,63}\.){1,8}(?:xn--[\w-]{2,40}|[^\W\d_]{2,24})(?![\w-])"
)
_PHONE: Final = re.compile(
    r"(?<![\w.+#=/-])(?:\+|00|\()?\d(?:[ .()/-]{0,3}\d){6,16}(?:\s{0,2}(?:x|ext\.?)\s?\d{1,6})?(?![\w-]|\.\d)"
)
_PHONE_NEAR: Final = re.compile(
    r"(?i)phone|tel\b|\bcall|mobile|\bcell|\bfax|contact|reach|dial|whats|\bsms|messag|telefon|office|home|hotline|answer"
)
_NO_PHONE: Final = re.compile(r"\d{4}(?:[ -]\d{1,4}){2,4}|\d{3}[- ]\d{2}[- ]\d{4}")
"""Groups of a card or of an IBAN, or those of an SSN, whose own rules have said no."""

_CARD_NEAR: Final = re.compile(r"(?i)card|credit|visa|amex|mastercard|\bcc\b|maestro")
_DATE: Final = re.compile(r"(?:19|20)\d\d[-./ ]\d{1,2}[-./ ]\d{1,2}|\d{1,2}[-./]\d{1,2}[-./](?:19|20)?\d\d(?!\d)")
NEAR: Final = 60
REGIONS: Final = ("US", "GB", "DE", "FR", "IT", "ES", "NL", "CH", "AT", "SE", "AU", "IN", "BR", "JP")
SIZES: Final = range(19, 11, -1)
PHONES: Final = 2_000
"""Candidates of one text that are looked up."""


def personal(text: str) -> Iterator[Span]:
    """What of a text identifies somebody, or pays for somebody; spans do not overlap."""
    taken: list[tuple[int, int]] = []
    for find in (ibans, _cards, ssns, _emails, _addresses, _phones):
        for start, end, kind in find(text):
            if not any(start < last and first < end for first, last in taken[-50:]):
                taken.append((start, end))
                yield start, end, kind


def _cards(text: str) -> Iterator[Span]:
    for found in _DIGITS.finditer(text):
        places = [at for at, c in enumerate(found[0], found.start()) if c.isdecimal()]
        digits = "".join([str(int(text[at])) for at in places])
        named = _CARD_NEAR.search(text[max(0, found.start() - NEAR) : found.start()]) is not None
        at = 0
        while at + SIZES[-1] <= len(digits):
            size = _card_at(digits, at, named)
            if size:
                yield places[at], places[at + size - 1] + 1, "card"
            at += size or 4


def _card_at(digits: str, at: int, named: bool) -> int:
    """How long the card is that begins here, 0 when none does; inside a longer number only a card's usual form."""
    whole = len(digits) - at if at == 0 else 0
    for size in (whole, 16, 15) if whole in SIZES else (16, 15):
        part = digits[at : at + size]
        if len(part) == size and (_issued(part) or (named and size == whole)) and len(set(part)) > 1 and _luhn(part):
            return size
    return 0


def _luhn(digits: str) -> bool:
    """Whether the check digit holds (ISO/IEC 7812); a number can have hundreds of candidates, so no library's call."""
    values = digits.encode().translate(_VALUES)
    return (sum(values[-1::-2]) + sum(values[-2::-2].translate(_DOUBLED))) % 10 == 0


_VALUES: Final = bytes(code - 48 if 48 <= code < 58 else 0 for code in range(256))
_DOUBLED: Final = bytes(2 * digit - 9 * (digit > 4) if digit < 10 else 0 for digit in range(256))


def _issued(digits: str) -> bool:
    two, four, size = int(digits[:2]), int(digits[:4]), len(digits)
    if digits[0] == "4":
        return size in (13, 16, 19)
    if 51 <= two <= 55 or 2221 <= four <= 2720:
        return size == 16
    if two in (34, 37):
        return size == 15
    if two in (36, 38, 39) or 3000 <= four <= 3059:
        return 14 <= size <= 19
    if two in (35, 60, 62, 64, 65):
        return 16 <= size <= 19
    if digits[0] == "5" or two in (63, 67, 66, 61, 68, 69):
        return 12 <= size <= 19
    return four in (2131, 1800, 2014, 2149) and size == 15


def has_digits(text: str) -> bool:
    """Whether a text may hold a digit of any script: a tenth of what a pattern takes."""
    return not text.isascii() or any(digit in text for digit in "0123456789")


def ibans(text: str) -> Iterator[Span]:
    """Account numbers, by mod 97 (ISO 13616)."""
    from stdnum import iban

    if not has_digits(text) or not any(
        text[at.start() - 1 : at.start()].isalpha() for at in _LETTER_DIGITS.finditer(text)
    ):
        return
    for found in _IBAN.finditer(text):
        start, end = found.span()
        while end - start >= 15:
            if (
                not _mixed(text[start:end])
                and iban.is_valid(text[start:end].upper(), check_country=False)
                and _length_holds(text[start:end])
            ):
                yield start, end, "iban"
                break
            end = start + max(text[start:end].rfind(" "), text[start:end].rfind("-"), 0)


def _mixed(found: str) -> bool:
    return found != found.upper() and found != found.lower()


def _length_holds(found: str) -> bool:
    """Whether a country's IBANs are that long, and not all zeros."""
    bare = "".join(c for c in found if c.isalnum())
    return 15 <= len(bare) <= 34 and len(set(bare[4:])) > 1


def ssns(text: str) -> Iterator[Span]:
    """Social security numbers of the US, by the areas and groups that are given out."""
    from stdnum.us import ssn

    if not (has_digits(text) and _SSN_SHAPE.search(text)):
        return
    for found in _SSN.finditer(text):
        near = _SSN_NEAR.search(text[max(0, found.start() - NEAR) : found.start()]) is not None
        digits = re.sub(r"\D", "", found[0])
        separated = len(found[0]) > 9
        area, group, serial = digits[:3], digits[3:5], digits[5:]
        valid = area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"
        if (separated or near or found[0] == text.strip()) and (
            ssn.is_valid(f"{area}-{group}-{serial}") or (valid and (near or separated))
        ):
            yield (*found.span(), "ssn")


def _emails(text: str) -> Iterator[Span]:
    if "@" in text:
        for found in _EMAIL.finditer(text):
            yield (*found.span(), "email")


def _addresses(text: str) -> Iterator[Span]:
    for pattern in (_V4, _V6):
        for found in pattern.finditer(text):
            if (
                _is_long_enough(found[0])
                and not _VERSION.search(text[max(0, found.start() - 12) : found.start()])
                and _is_address(found[0])
            ):
                yield (*found.span(), "ip")


def _is_address(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return address.version == 4 or text.count(":") > 2 or len(text) >= 6 or text == "::1"


def _is_long_enough(text: str) -> bool:
    return ":" not in text or "::" in text or text.count(":") >= 6


def _phones(text: str) -> Iterator[Span]:
    import phonenumbers

    for number, found in enumerate(_PHONE.finditer(text)):
        if number >= PHONES:
            return
        said, near = found[0].strip(), text[max(0, found.start() - NEAR) : found.end() + 20]
        if _DATE.fullmatch(said.split(" ")[0]) or (said.isdigit() and not _PHONE_NEAR.search(near)):
            continue
        if _NO_PHONE.fullmatch(said):
            continue
        abroad = said.startswith(("+", "00"))
        hinted = _PHONE_NEAR.search(near) is not None
        if not (abroad or hinted or _grouped(said)):
            continue
        if _is_phone(said, abroad, hinted, phonenumbers):
            yield found.start(), found.start() + len(found[0].rstrip()), "phone"


def _grouped(said: str) -> bool:
    """Whether its groups are those of a phone number."""
    return bool(
        re.fullmatch(
            r"\(?\d{3}\)?[ .-]{1,2}\d{3}[ .-]\d{4}(?:\s?x\d+)?|\(\d{2,5}\)[ \d-]{6,14}|0\d{2,4}[ /-]\d[\d -]{5,12}",
            said,
        )
    )


def _is_phone(said: str, abroad: bool, hinted: bool, phonenumbers: object) -> bool:
    library = phonenumbers
    written = "+" + said[2:] if said.startswith("00") else said
    for region in (None,) if abroad else REGIONS:
        try:
            parsed = library.parse(written, region)  # type: ignore[attr-defined]
        except Exception:  # noqa: S112 - the library's own error, of text that is no number
            continue
        if library.is_valid_number(parsed) or (hinted and library.is_possible_number(parsed)):  # type: ignore[attr-defined]
            return True
    return False
