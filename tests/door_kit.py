"""What the tests of the doors share: an issuer with its keys, and tokens of every kind."""

import json
import time
import warnings
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ISSUER, AUDIENCE, NAME = "https://issuer.example", "interlock-tests", "one"
KEY = ec.generate_private_key(ec.SECP256R1())
STRANGER = ec.generate_private_key(ec.SECP256R1())
SMALL = rsa.generate_private_key(65537, 1_024)


def jwk(key: Any, name: str, **more: Any) -> dict[str, Any]:
    kind = jwt.algorithms.ECAlgorithm if isinstance(key, ec.EllipticCurvePrivateKey) else jwt.algorithms.RSAAlgorithm
    return {**kind.to_jwk(key.public_key(), as_dict=True), "kid": name, "use": "sig", **more}


def write_keys(path: Path) -> Path:
    keys = [
        jwk(KEY, NAME, alg="ES256"),
        jwk(SMALL, "small", alg="RS256"),
        {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA", "kid": "shared", "alg": "HS256"},
        {"kty": "EC", "kid": "torn"},
    ]
    path.write_text(json.dumps({"keys": keys}))
    return path


def claims(**more: Any) -> dict[str, Any]:
    now = int(time.time())
    own = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ana", "exp": now + 300, "tenant": "acme", "role": "operator"}
    return {name: value for name, value in {**own, **more}.items() if value is not None}


def token(key: Any = KEY, algorithm: str = "ES256", name: str | None = NAME, **more: Any) -> str:
    headers = {} if name is None else {"kid": name}
    with warnings.catch_warnings(action="ignore"):  # of small keys, which are the point
        return jwt.encode(claims(**more), key, algorithm, headers)


def public_pem() -> bytes:
    return KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def under_public_key() -> str:
    """A MAC with the public key as its secret, which a careless library takes for a signature."""
    import base64
    import hmac

    def part(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    head = part(json.dumps({"alg": "HS256", "typ": "JWT", "kid": NAME}).encode())
    signed = f"{head}.{part(json.dumps(claims()).encode())}"
    return f"{signed}.{part(hmac.digest(public_pem(), signed.encode(), 'sha256'))}"


def changed() -> str:
    """A good token whose claims were changed afterwards."""
    head, _, signature = token().split(".")
    body = jwt.encode(claims(role="admin"), STRANGER, "ES256").split(".")[1]
    return f"{head}.{body}.{signature}"


def forged() -> dict[str, str]:
    """Tokens that must open nothing, by what is wrong with them."""
    now = int(time.time())
    return {
        "expired": token(exp=now - 60),
        "without expiry": token(exp=None),
        "not yet valid": token(nbf=now + 600),
        "for another audience": token(aud="somebody-else"),
        "without audience": token(aud=None),
        "of another issuer": token(iss="https://issuer.example.evil"),
        "without issuer": token(iss=None),
        "without subject": token(sub=None),
        "signed by a stranger": token(STRANGER),
        "signed by a stranger under another name": token(STRANGER, name="two"),
        "without key id": token(name=None),
        "of a small key": token(SMALL, "RS256", "small"),
        "of a shared key": token("secret-secret-secret-secret-secret", "HS256", "shared"),
        "alg none": token(None, "none"),
        "HS256 under the public key": under_public_key(),
        "changed afterwards": changed(),
        "of a tenant that is a path": token(tenant="../acme"),
        "of an empty tenant": token(tenant=""),
        "of a role that there is not": token(role="owner"),
        "of several roles": token(role=["viewer", "admin"]),
        "cut": token()[:-10],
        "no token": "a.b.c",
        "dots": "." * 50,
    }
