"""The result of a case, and the report: Markdown for people, JSON for programs."""

import json
from dataclasses import dataclass, field

from .cases import bounds_of
from .figures import Spread, differences, ratios
from .run import as_rounds, rates, samples_base


@dataclass
class Verdict:
    """A bound and what was measured against it."""

    who: str
    against: str
    limit: float
    difference: bool
    spread: Spread

    @property
    def met(self):
        return self.spread.median <= self.limit

    @property
    def clear(self):
        """Whether the whole range is on one side."""
        return self.spread.high <= self.limit or self.spread.low > self.limit

    def words(self):
        said = "met" if self.met else "**missed**"
        return said if self.clear else f"{said} (the range crosses it)"


@dataclass
class Result:
    """A case with its figures."""

    case: object
    base: str
    costs: dict
    to_base: dict
    rates: dict
    control: Spread
    verdicts: list
    marks: list
    skipped: list
    runs: list
    notes: list = field(default_factory=list)


def conclude(case, taken, skipped):
    """Turns the rounds of a case into its result."""
    rounds, control = as_rounds(taken)
    base = next((name for name in map(samples_base, taken) if name), None)
    names = list(dict.fromkeys(name for costs in rounds for name in costs))
    costs = {name: Spread(cost for one in rounds for cost in one.get(name, [])) for name in names}
    to_base = {}
    for name in names:
        found = ratios(rounds, name, base)
        if found:
            to_base[name] = Spread(found)
    verdicts = []
    for bound in bounds_of(case, names):
        found = (differences if bound.difference else ratios)(rounds, bound.who, bound.against)
        if found:
            verdicts.append(Verdict(bound.who, bound.against, bound.limit, bound.difference, Spread(found)))
    marks = [f"{s.name}, round {n}: {mark}" for n, one in enumerate(taken, 1) for s in one for mark in s.marks]
    runs = [[sample.__dict__ for sample in one] for one in taken]
    control = Spread(control) if control else None
    return Result(case, base, costs, to_base, rates(taken), control, verdicts, marks, skipped, runs)


def of(spread, digits=3):
    return f"{spread.median:.{digits}f} ({spread.low:.{digits}f} to {spread.high:.{digits}f})"


def cost_words(spread):
    digits = 2 if spread.median < 100 else 0
    return of(spread, digits)


def verdict_rows(results):
    rows = []
    for result in results:
        for verdict in result.verdicts:
            unit = " us" if verdict.difference else ""
            what = "more than" if verdict.difference else "of"
            rows.append(
                f"| {result.case.name} | {verdict.who} {what} {verdict.against} | {of(verdict.spread)}{unit} "
                f"| {verdict.limit}{unit} | {verdict.words()} |"
            )
    return rows


def markdown(results, machine, peers, missing, settings):
    """The whole report."""
    lines = ["# Haring and its peers", ""]
    lines += [
        f"Measured {machine['when']} on {machine['processor']}, {machine['processors']} processors, "
        f"{machine['kernel']}, {machine['memory_mib']} MiB. {settings}",
        "",
        "A cost is the busy time of the proxy's whole processor (user, nice, system, interrupts), so what the kernel "
        "does for a proxy counts wherever it does it. Ratios are taken within a round; figures are medians with their "
        "range. The noise column is HAProxy against a second process of the same HAProxy, run at the other end of "
        "each round: a difference smaller than that is none.",
        "",
        "| program | version |",
        "|---|---|",
        *(f"| {peer.name} | {peer.version} |" for peer in peers),
        "",
    ]
    lines += [f"Not measured: {reason}." for reason in missing] + [""]
    rows = verdict_rows(results)
    if rows:
        met = sum(verdict.met for result in results for verdict in result.verdicts)
        lines += [f"## Bounds: {met} of {len(rows)} met", "", "| case | what | measured | bound | |", "|---|---|---|---|---|"]
        lines += [*rows, ""]
    lines += ["## Cases", ""]
    for result in results:
        lines += case_lines(result)
    return "\n".join(lines) + "\n"


def case_lines(result):
    case = result.case
    lines = [f"### {case.name}", "", f"{case.title[0].upper()}{case.title[1:]}.", ""]
    if result.control:
        lines += [f"Noise: {of(result.control)}.", ""]
    if result.costs:
        lines += [f"| program | us of processor per {case.unit} | of {result.base} | {case.unit}s/s |", "|---|---|---|---|"]
        for name, spread in result.costs.items():
            ratio = of(result.to_base[name]) if name in result.to_base and name != result.base else ""
            ratio = "1" if name == result.base else ratio
            lines.append(f"| {name} | {cost_words(spread)} | {ratio} | {result.rates[name]:,.0f} |")
        lines.append("")
    lines += [f"{note}" for note in result.notes] + ([""] if result.notes else [])
    lines += [f"Left out: {reason}" for reason in result.skipped] + ([""] if result.skipped else [])
    if result.marks:
        lines += [f"Marked runs: {'; '.join(result.marks)}.", ""]
    return lines


def terminal_lines(result):
    """A case in a few lines."""
    lines = []
    if result.control:
        lines.append(f"noise {of(result.control)}")
    for name, spread in result.to_base.items():
        if name != result.base:
            cost = cost_words(result.costs[name])
            lines.append(f"{name:20} {of(spread)} of {result.base}, {cost} us per {result.case.unit}")
    for verdict in result.verdicts:
        said = "met" if verdict.met else "MISSED"
        lines.append(f"bound {verdict.who} to {verdict.against}: {of(verdict.spread)}, {verdict.limit}: {said}")
    return lines + result.notes


def write(output, results, machine, peers, missing, settings):
    """Leaves the report in a directory."""
    (output / "report.md").write_text(markdown(results, machine, peers, missing, settings))
    (output / "data.json").write_text(data(results, machine, peers, missing, settings))


def data(results, machine, peers, missing, settings):
    """The same for programs, with every single run."""
    return json.dumps(
        {
            "machine": machine,
            "settings": settings,
            "peers": {peer.name: {"program": peer.program, "version": peer.version} for peer in peers},
            "missing": missing,
            "cases": [
                {
                    "name": result.case.name,
                    "title": result.case.title,
                    "unit": result.case.unit,
                    "base": result.base,
                    "cost_us": {name: spread.as_data() for name, spread in result.costs.items()},
                    "of_base": {name: spread.as_data() for name, spread in result.to_base.items()},
                    "rate": result.rates,
                    "noise": result.control.as_data() if result.control else None,
                    "bounds": [
                        {
                            "who": verdict.who,
                            "against": verdict.against,
                            "kind": "difference" if verdict.difference else "ratio",
                            "limit": verdict.limit,
                            "measured": verdict.spread.as_data(),
                            "met": verdict.met,
                        }
                        for verdict in result.verdicts
                    ],
                    "notes": result.notes,
                    "marks": result.marks,
                    "left_out": result.skipped,
                    "runs": result.runs,
                }
                for result in results
            ],
        },
        indent=1,
    )
