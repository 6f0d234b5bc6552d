"""Which trial is the champion, what luck could have done, and the verdict in words."""

from windtunnel.judgement.champion import Champion, choose_champion, chosen_from
from windtunnel.judgement.luck import Luck, weigh_luck
from windtunnel.judgement.verdict import CONFIDENT, Verdict, judge

__all__ = [
    "CONFIDENT",
    "Champion",
    "Luck",
    "Verdict",
    "choose_champion",
    "chosen_from",
    "judge",
    "weigh_luck",
]
