"""The arithmetic: what a load generator says, medians, ranges, ratios of runs that belong together."""

import re
import statistics


class Invalid(Exception):
    """A run that is worth nothing, and why."""


def parse_wrk(text):
    """Requests completed and seconds taken; a run with errors is invalid."""
    wrong = re.search(r"(Socket errors|Non-2xx).*", text)
    if wrong:
        raise Invalid(wrong[0].strip())
    completed = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m)\b", text)
    if not completed or int(completed[1]) == 0:
        raise Invalid("no request was answered")
    unit = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}[completed[3]]
    return int(completed[1]), float(completed[2]) * unit


def parse_idle(text):
    """The bytes of an idle connection, as benches/idle.py tells them."""
    found = re.search(r":\s*(-?[\d.]+) bytes each", text)
    if not found:
        raise Invalid("benches/idle.py tells no figure")
    return float(found[1])


class Spread:
    """A median with its range."""

    def __init__(self, values):
        values = list(values)
        self.median = statistics.median(values)
        self.low = min(values)
        self.high = max(values)
        self.count = len(values)

    def as_data(self):
        return {"median": self.median, "low": self.low, "high": self.high, "count": self.count}


def ratios(rounds, one, other):
    """`one` over `other`, in each round where both have a figure. A name with several entries in a round (the
    base is run first and last) counts as their mean, which cancels a steady drift of the machine."""
    found = []
    for figures in rounds:
        if figures.get(one) and figures.get(other):
            found.append(statistics.mean(figures[one]) / statistics.mean(figures[other]))
    return found


def differences(rounds, one, other):
    """`one` less `other`, in each round where both have a figure."""
    found = []
    for figures in rounds:
        if figures.get(one) and figures.get(other):
            found.append(statistics.mean(figures[one]) - statistics.mean(figures[other]))
    return found
