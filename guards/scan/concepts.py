"""Concepts: what words of several languages mean where somebody gives orders to a model.

A pair of them near each other says more than either: "forget ... instructions", "reveal ... prompt".
"""

from functools import lru_cache
from typing import Any, Final

_STEMS: Final = {
    "disregard": "ignor disregard forget forgot overrid overrule bypass neglect vergiss vergesse vergessen missacht ignoriere "
    "olvid ignore oubli ignorez dimentic esqueç esquec игнор забуд zapomn zignor unuta görmezden 忽略 忽视 無視 무시 تجاهل",
    "earlier": "previous prior above earlier preceding foregoing past former everything bisherig vorherig obig anterior previa "
    "précéden preceden предыдущ poprzedn önceki 之前 上述 以上 이전 السابق",
    "orders": "instruction directive guideline rule command order request restriction polic constraint anweisung aufgabe "
    "befehl instruccion regla consigne directives istruzion instruç инструкц правил polecen talimat 指令 指示 命令 지시 تعليمات",
    "prompt": "prompt preprompt systemprompt eingabeaufforderung подсказк istem 提示",
    "system": "system developer admin root sudo maintenance debug kernel sistema système systeem",
    "secret": "password passphrase passcode secret credential confidential token key pin passwort contraseña senha motdepasse "
    "пароль hasło şifre 密码 パスワード 비밀번호 كلمة",
    "reveal": "reveal print show display repeat output leak tell expose dump recite disclose echo spell share zeige gib nenne "
    "wiederhol muestra revela imprim affich répèt mostra покажи повтори wyświetl göster 显示 输出 表示 출력 알려",
    "role": "pretend roleplay impersonate simulate persona character act imagine spiele rolle actúa finge agis 扮演 演じ",
    "free": "unrestricted unfiltered uncensored jailbreak jailbroken dan unethical amoral immoral limitless unlimited "
    "freed unbound evil illegal",
    "hide": "secretly silently quietly without hidden stealth undetected",
    "urgent": "important urgent attention priority warning critical wichtig importante внимание",
    "now": "now instead henceforth onwards new next then nun jetzt stattdessen ahora теперь",
    "model": "assistant ai chatgpt gpt llm bot chatbot model",
    "obey": "must obey comply follow execute perform do carry befolge sigue",
    "never": "never refuse cannot apologize warn disclaimer",
    "send": "send forward email transfer post upload exfiltrate deliver",
    "mark": "### *** === >>> <<< [[ ]] <|",
}
SHORTEST: Final = 4
"""Shorter stems must be the whole word."""

_WHOLE: Final = {stem: name for name, stems in _STEMS.items() for stem in stems.split()}
_LONGEST: Final = max(map(len, _WHOLE))


@lru_cache(maxsize=8_192)
def concept(word: str) -> str:
    """What a word means here; empty when it means nothing."""
    if word in _WHOLE:
        return _WHOLE[word]
    for size in range(min(len(word) - 1, _LONGEST), SHORTEST - 1, -1):
        if word[:size] in _WHOLE:
            return _WHOLE[word[:size]]
    if word and ord(word[0]) > 0x2E7F:  # scripts without spaces
        return next((_WHOLE[stem] for stem in _WHOLE if ord(stem[0]) > 0x2E7F and stem in word), "")
    return ""


CORE: Final = ("disregard", "orders", "prompt", "reveal", "role", "free", "secret", "hide", "obey", "never")
DIFFERENT: Final = 3


def speaks_of_orders(text: str) -> bool:
    """Whether a text has so many different things to say that an order says; else no model needs to read it."""
    found, (search, means) = set[str](), _core()
    for number, start, _ in search.find_matches_as_indexes(text, overlapping=True):
        if start == 0 or not (text[start - 1].isalnum() or text[start - 1] == "_"):
            found.add(means[number])
            if len(found) >= DIFFERENT:
                return True
    return False


@lru_cache(maxsize=1)
def _core() -> tuple[Any, list[str]]:
    from ahocorasick_rs import AhoCorasick

    stems = sorted({stem for name in CORE for stem in _STEMS[name].split()})
    return AhoCorasick(stems), [concept(stem) for stem in stems]
