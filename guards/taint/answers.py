"""Answers: what a person says when a run waits."""


def says_yes(answer: object) -> bool:
    """Whether a person agreed: only `true` or "yes" does."""
    return answer is True or str(answer).strip().lower() in ("yes", "true")
