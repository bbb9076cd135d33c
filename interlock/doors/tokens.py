"""Tokens: JWTs of an identity provider, checked against its public keys.

Only asymmetric algorithms, each with the key that is made for it, so that neither `none` nor a MAC under a public key
is ever tried. Issuer, audience, expiry and subject must be there. Keys come from a file or an HTTPS address, are asked
for at the first token, kept for `FRESH_SECONDS`, and asked for again at most every `AGAIN_SECONDS`, whatever ids are
named.
"""

import hashlib
import json
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from interlock.doors.caller import Caller, Denied, checked
from interlock.doors.here import is_loopback

if TYPE_CHECKING:
    from httpx2 import Client
    from jwt import PyJWK

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
LONGEST: Final = 8_192
FRESH_SECONDS: Final = 300.0
AGAIN_SECONDS: Final = 30.0
FETCH_SECONDS: Final = 5.0
LEEWAY_SECONDS: Final = 10.0
LARGEST_SET: Final = 1_000_000
RSA_BITS: Final = 2_048
MOST_KEYS: Final = 100


@dataclass(frozen=True)
class Issuer:
    """Who makes tokens, and for whom.

    Attributes:
        keys: File or HTTPS address of its key set.
        issuer: `iss`.
        audience: `aud`: this server.
        tenant: Claim that names the tenant.
        role: Claim that names the role; a token without it is a viewer's.
    """

    keys: str
    issuer: str
    audience: str
    tenant: str = "tenant"
    role: str = "role"


def issuer() -> Issuer | None:
    """The issuer that the environment names; None if it names none.

    Raises:
        ValueError: Something of it is missing, or its keys would be fetched unprotected.
    """
    read = os.environ.get
    if not (keys := read("INTERLOCK_JWKS", "")):
        return None
    named = Issuer(keys, read("INTERLOCK_JWT_ISSUER", ""), read("INTERLOCK_JWT_AUDIENCE", ""))
    if not named.issuer or not named.audience:
        raise ValueError("INTERLOCK_JWKS is set: set INTERLOCK_JWT_ISSUER and INTERLOCK_JWT_AUDIENCE too")
    parts = urlsplit(keys)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise ValueError("INTERLOCK_JWKS is an http address: whoever answers it could let anybody in; use https")
    tenant, role = read("INTERLOCK_JWT_TENANT", ""), read("INTERLOCK_JWT_ROLE", "")
    return Issuer(keys, named.issuer, named.audience, tenant or "tenant", role or "role")


class Tokens:
    """Checks the tokens of an issuer. Blocks: call it in a thread; safe with many.

    Args:
        issuer: Whose.
    """

    def __init__(self, issuer: Issuer) -> None:
        self.issuer = issuer
        self._keys: dict[str, PyJWK] = {}
        self._asked = self._fetched = float("-inf")
        self._lock = threading.Lock()

    def caller(self, token: str) -> Caller:
        """Who a token speaks for.

        Raises:
            Denied: It is forged, expired, not yet valid, for somebody else, or says too little; or keys cannot be had.
        """
        import jwt

        try:
            header = jwt.get_unverified_header(token)
            algorithm, name = header.get("alg"), header.get("kid")
            if algorithm not in ALGORITHMS or not isinstance(name, str):
                raise Denied(401, "the token's algorithm or key id is none that is taken here")
            key = self._key(name)
            if key.algorithm_name != algorithm:
                raise Denied(401, "the token's key is made for another algorithm")
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self.issuer.audience,
                issuer=self.issuer.issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            raise Denied(401, f"the token does not hold ({type(error).__name__}): get a new one") from None
        return self._caller(claims)

    def _caller(self, claims: Mapping[str, Any]) -> Caller:
        """A subject is the issuer's: two issuers' subjects of one name are two callers."""
        subject = f"{self.issuer.issuer}\n{claims['sub']}"
        identity = f"sub-{hashlib.sha256(subject.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"
        own = {self.issuer.tenant: identity, **claims}
        return checked(identity, own, self.issuer.tenant, self.issuer.role)

    def _key(self, name: str) -> "PyJWK":
        with self._lock:
            now = time.monotonic()
            stale = name not in self._keys or now - self._fetched > FRESH_SECONDS
            if stale and now - self._asked > AGAIN_SECONDS:
                self._asked = now
                self._refresh(now)
            if (key := self._keys.get(name)) is None:
                raise Denied(401 if self._keys else 503, "the token's key is not among the issuer's")
            return key

    def _refresh(self, now: float) -> None:
        """Keys that cannot be fetched leave those that were."""
        try:
            self._keys, self._fetched = usable(_fetched(self.issuer.keys)), now
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            return


def usable(keys: Any) -> "dict[str, PyJWK]":
    """The public signing keys of a set, by id."""
    import jwt

    found = {}
    for one in keys["keys"][:MOST_KEYS]:
        if one.get("kty") not in ("RSA", "EC", "OKP") or one.get("use", "sig") != "sig" or not one.get("kid"):
            continue
        try:
            key = jwt.PyJWK(one)
        except jwt.PyJWTError:
            continue
        if key.algorithm_name in ALGORITHMS and getattr(key.key, "key_size", RSA_BITS) >= _least_bits(one):
            found[str(one["kid"])] = key
    return found


def _least_bits(key: Mapping[str, Any]) -> int:
    return RSA_BITS if key["kty"] == "RSA" else 0


def _fetched(place: str) -> Any:
    if urlsplit(place).scheme not in ("http", "https"):
        with Path(place).open("rb") as file:
            return _loaded(file.read(LARGEST_SET + 1))
    import httpx2

    try:
        return _loaded(_downloaded(httpx2.Client(timeout=FETCH_SECONDS, follow_redirects=False), place))
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise OSError(f"the key set cannot be fetched ({type(error).__name__})") from None


def _downloaded(client: "Client", place: str) -> bytes:
    with client, client.stream("GET", place) as answer:
        answer.raise_for_status()
        data = b""
        for part in answer.iter_bytes():
            data += part
            if len(data) > LARGEST_SET:
                break
    return data


def _loaded(data: bytes) -> Any:
    if len(data) > LARGEST_SET:
        raise ValueError("the key set is too large")
    return json.loads(data)
