"""Shapes: keys and tokens that are known by their form, after the rules of gitleaks (MIT). RE2, so linear."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

RULES: Final = (
    (
        "private key",
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----[\\rn\s\"'+]*[A-Za-z0-9+/=:,\s\\-]{20,}(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----)?",
    ),
    ("aws key", r"\b(?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b"),
    ("github token", r"\bgh[pousr]_[0-9A-Za-z]{30,}\b|\bgithub_pat_[0-9A-Za-z_]{60,}\b"),
    ("gitlab token", r"\bgl(?:pat|dt|ptt|rt|cbt|ft|oas|soat|agent|imt)-[0-9A-Za-z_-]{20,64}"),
    (
        "slack token",
        r"\bxox[abeoprs]-(?:[0-9]{1,16}-)?[0-9A-Za-z-]{10,}\b|hooks\.slack\.com/services/[A-Za-z0-9/+]{40,60}",
    ),
    ("openai key", r"\bsk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{20,}"),
    ("anthropic key", r"\bsk-ant-[a-z0-9]{3,12}-[A-Za-z0-9_-]{20,}"),
    ("google key", r"\bAIza[0-9A-Za-z_-]{35}\b|\bya29\.[0-9A-Za-z_-]{20,}|\bGOCSPX-[0-9A-Za-z_-]{28}"),
    ("stripe key", r"\b(?:sk|rk|pk)_(?:live|test|prod)_[0-9A-Za-z]{10,99}"),
    ("jwt", r"\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]{8,})?"),
    ("sendgrid key", r"\bSG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{30,64}"),
    ("twilio key", r"\b(?:SK|AC)[0-9a-f]{32}\b"),
    ("npm token", r"\bnpm_[A-Za-z0-9]{36}\b"),
    ("pypi token", r"\bpypi-AgE[A-Za-z0-9_-]{50,}"),
    ("hugging face token", r"\b(?:hf|api_org)_[A-Za-z]{34}\b"),
    ("groq key", r"\bgsk_[A-Za-z0-9]{40,60}\b"),
    ("vault token", r"\b(?:hv[sbr]\.[A-Za-z0-9_-]{24,}|[sb]\.[A-Za-z0-9]{24})\b"),
    ("databricks token", r"\bdapi[0-9a-f]{32}(?:-\d)?\b"),
    ("digitalocean token", r"\bdo[opr]_v1_[0-9a-f]{64}\b"),
    ("shopify token", r"\bshp(?:at|ca|pa|ss)_[0-9A-Fa-f]{32}\b"),
    ("mailchimp key", r"\b[0-9a-f]{32}-us\d{1,2}\b"),
    ("mailgun key", r"\bkey-[0-9a-f]{32}\b"),
    ("telegram token", r"\b\d{8,10}:AA[A-Za-z0-9_-]{32,35}\b"),
    ("discord token", r"\b[MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,40}\b"),
    ("square token", r"\b(?:EAAA[0-9A-Za-z_-]{60}|sq0(?:atp|csp)-[0-9A-Za-z_-]{22,43})\b"),
    ("facebook token", r"\bEAA[A-Za-z0-9]{60,}\b"),
    ("linear token", r"\blin_(?:api|oauth)_[0-9A-Za-z]{32,64}"),
    ("notion token", r"\b(?:secret_[A-Za-z0-9]{43}|ntn_[A-Za-z0-9]{40,60})\b"),
    ("figma token", r"\bfig[dour]_[A-Za-z0-9_-]{38,50}"),
    ("grafana token", r"\bgl(?:c|sa)_[A-Za-z0-9+/_=-]{32,}"),
    ("newrelic key", r"\bNR(?:AK|JS|RA|II)-[A-Za-z0-9-]{19,42}\b"),
    ("planetscale token", r"\bpscale_(?:tkn|pw|oauth)_[A-Za-z0-9_.-]{32,64}"),
    ("postman key", r"\bPMAK-[0-9a-f]{24}-[0-9a-f]{34}\b"),
    ("pulumi token", r"\bpul-[0-9a-f]{40}\b"),
    ("rubygems key", r"\brubygems_[0-9a-f]{48}\b"),
    ("docker token", r"\bdckr_(?:pat|oat)_[A-Za-z0-9_-]{27,36}"),
    ("atlassian token", r"\bATATT3[A-Za-z0-9_=-]{100,}|\bATCTT3[A-Za-z0-9_=-]{100,}"),
    ("tailscale key", r"\btskey-[a-z]{3,10}-[A-Za-z0-9_-]{10,80}"),
    ("airtable token", r"\bpat[A-Za-z0-9]{14}\.[0-9a-f]{64}\b"),
    ("dropbox token", r"\bsl\.[A-Za-z0-9_-]{130,}\b"),
    ("age key", r"\bAGE-SECRET-KEY-1[0-9A-Z]{58}\b"),
    ("nats seed", r"\bS[UANOCX][A-Z2-7]{55,56}\b"),
    ("circleci token", r"\bCCIP(?:AT|RJ)_[A-Za-z0-9_]{40,90}"),
    ("doppler token", r"\bdp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9._-]{40,60}"),
    ("perplexity key", r"\bpplx-[A-Za-z0-9]{40,60}\b"),
    ("replicate token", r"\br8_[A-Za-z0-9]{37}\b"),
    ("azure key", r"\b(?:AccountKey|SharedAccessKey|Secret)=[A-Za-z0-9+/]{40,90}={0,2}"),
    ("bearer token", r"(?i)\b(?:bearer|basic|token)[ :]{1,3}([A-Za-z0-9+/_=.~-]{20,})"),
    (
        "json web key",
        r'(?i)["\']?\b(?:kty|"kty")["\']?\s{0,3}:\s{0,3}["\'](?:oct|rsa|ec|okp)["\'](?s:.*?)["\']?\b(?:k|d)["\']?\s{0,3}:\s{0,3}["\']([A-Za-z0-9_-]{16,})["\']',
    ),
)
MIXED: Final = frozenset({"openai key", "bearer token", "gitlab token", "slack token"})
"""Of these a fake is common: a value of one kind of character, or of a run, is none."""


def keys(text: str) -> Iterator[tuple[int, int, str]]:
    """Keys and tokens of a text, by form."""
    if _any().search(text) is None:
        return
    for name, rule in _each():
        for found in rule.finditer(text):
            group = 1 if rule.groups and found.group(1) else 0
            if name not in MIXED or _is_random(found.group(group)):
                yield found.start(group), found.end(group), f"secret: {name}"


def _is_random(value: str) -> bool:
    """Whether no run and no single kind of character makes a value up."""
    kinds = sum(
        map(bool, (any(c.isdigit() for c in value), any(c.islower() for c in value), any(c.isupper() for c in value)))
    )
    return len(set(value)) >= min(8, len(value) // 2 + 1) and (kinds >= 2 or len(value) < 12)


@lru_cache(maxsize=1)
def _any() -> Any:
    return compiled(forms())


def forms() -> str:
    """All forms in one pattern."""
    return "|".join(f"(?:{pattern})" for _, pattern in RULES)


@lru_cache(maxsize=1)
def _each() -> list[tuple[str, Any]]:
    return [(name, compiled(pattern)) for name, pattern in RULES]


def compiled(pattern: str) -> Any:
    """A linear-time pattern that is large."""
    import re2

    options = re2.Options()
    options.log_errors = False
    options.max_mem = 256 << 20
    return re2.compile(pattern, options)
