"""The files that earlier commits wrote, by their SHA-256. Lines are added here, and never changed: a file that does not fit its line
any more was written over, and with it went the executions that it stood for."""

from __future__ import annotations

WRITTEN = {
    "journals/2026-11-21-8614cbd.jsonl": "70bb2939d386cbabb397fd6f31c721a1e78883642aa2d87b8ace65b23763b594",
    "journals/2026-11-21.jsonl": "22348a1eff1ce77955100aae734bb05f319f1da8312b28c6fcf75434034fd783",  # by e050aff, over the one above
    "stored/2026-11-21-8614cbd.jsonl": "c997fb1c5be702e69a2454071adabfff5b1bd9d2dd4cb6ba0724eeb9be19a016",
    "stored/2026-11-21-afb4739.jsonl": "43f7f35eb12fa5a69e99ae13fe035d149f6fdc5312df633943001af9ebabc0f4",
    "journals/2026-11-22.jsonl": "534ffb946816d705b063b075dd0b97529d6eb156f1490026d53aa3a39dc3bab4",
    "stored/2026-11-22.jsonl": "c5968418c9216d282e403c794bf542333299dbb9b9e36c7cd3caea811403eb11",
}

# What was decided otherwise on purpose: (file, line) and why. Such records are read as all others are.
_SENDS = "e050aff counts how often an attempt went back to its queue"
_BACKS = "e050aff notes which hand-backs there were, where only their number was noted before"
DECIDED_OTHERWISE = {
    **{("journals/2026-11-21-8614cbd.jsonl", line): _SENDS for line in (0, 5, 6)},
    **{("journals/2026-11-21-8614cbd.jsonl", line): _BACKS for line in (7, 12, 13, 14, 17, 19)},
    ("stored/2026-11-21-8614cbd.jsonl", 2): _SENDS,
}
