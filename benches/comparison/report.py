"""The result of a case, and the report: Markdown for people, JSON for programs."""

import json
from dataclasses import asdict, dataclass

from .cases import bounds_of
from .figures import Spread, differences, ratios
from .plot import PLOTS, plots
from .run import as_rounds, medians, samples_base


PERCENTILES = {"p50": "p50", "p99": "p99", "p999": "p99.9"}


@dataclass
class Verdict:
    """A bound and what was measured against it."""

    who: str
    against: str
    limit: float
    of: str
    spread: Spread

    @property
    def met(self):
        """Nothing if there is no limit."""
        return None if self.limit is None else self.spread.median <= self.limit

    @property
    def clear(self):
        """Whether the whole range is on one side."""
        return self.spread.high <= self.limit or self.spread.low > self.limit

    def words(self):
        if self.limit is None:
            return "told beside"
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
    own: dict
    own_to_base: dict
    control: Spread
    verdicts: list
    marks: list
    skipped: list
    runs: list
    notes: list
    latencies: dict


def conclude(case, taken, skipped, notes):
    """Turns the rounds of a case into its result."""
    rounds, control = as_rounds(taken)
    base = next((name for name in map(samples_base, taken) if name), None)
    names = list(dict.fromkeys(name for costs in rounds for name in costs))
    costs = {name: Spread(cost for one in rounds for cost in one.get(name, [])) for name in names}

    def beside_base(rounds):
        found = {name: ratios(rounds, name, base) for name in names}
        return {name: Spread(values) for name, values in found.items() if values}

    to_base, own_to_base = beside_base(rounds), beside_base(as_rounds(taken, "own_us")[0])
    verdicts = []
    for bound in bounds_of(case, names):
        figures = as_rounds(taken, "p99_us")[0] if bound.of == "p99" else rounds
        found = (differences if bound.of == "difference" else ratios)(figures, bound.who, bound.against)
        if found:
            verdicts.append(Verdict(bound.who, bound.against, bound.limit, bound.of, Spread(found)))
    marks = [f"{s.name}, round {n}: {mark}" for n, one in enumerate(taken, 1) for s in one for mark in s.marks]
    runs = [[asdict(sample) for sample in one] for one in taken]
    control = Spread(control) if control else None
    latencies = latencies_of(taken) if case.measure == "latency" else {}
    return Result(
        case=case,
        base=base,
        costs=costs,
        to_base=to_base,
        rates=medians(taken, "rate"),
        own=medians(taken, "own_us"),
        own_to_base=own_to_base,
        control=control,
        verdicts=verdicts,
        marks=marks,
        skipped=skipped,
        runs=runs,
        notes=notes,
        latencies=latencies,
    )


def latencies_of(taken):
    """The spread of each percentile over the rounds, by contender."""
    found = {}
    for sample in (sample for one in taken for sample in one):
        of_one = found.setdefault(sample.name.removesuffix(" again"), {})
        for name in PERCENTILES:
            of_one.setdefault(name, []).append(sample.latency_us[name])
    return {name: {key: Spread(values) for key, values in one.items()} for name, one in found.items()}


def of(spread, digits=3):
    return f"{spread.median:.{digits}f} ({spread.low:.{digits}f} to {spread.high:.{digits}f})"


def cost_words(spread):
    digits = 2 if spread.median < 100 else 0
    return of(spread, digits)


def verdict_words(verdict):
    """What is compared, and its unit."""
    if verdict.of == "difference":
        return f"{verdict.who} above {verdict.against}", " us"
    return f"{'p99 of ' if verdict.of == 'p99' else ''}{verdict.who} to {verdict.against}", ""


def verdict_rows(results):
    rows = []
    for result in results:
        for verdict in result.verdicts:
            what, unit = verdict_words(verdict)
            limit = "" if verdict.limit is None else f"{verdict.limit:g}{unit}"
            rows.append(f"| {result.case.name} | {what} | {of(verdict.spread)}{unit} | {limit} | {verdict.words()} |")
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
        "each round: a difference smaller than that is none. What the program's processes took themselves stands beside: on a "
        "quiet machine it is the same but for interrupts.",
        "",
        "| program | version |",
        "|---|---|",
        *(f"| {peer.name} | {peer.version} |" for peer in peers),
        "",
    ]
    lines += [line for reason in missing for line in (f"Not measured: {reason}.", "")]
    if any(result.marks for result in results):
        lines += [f"{marked_words(results)} Such figures are not to be relied on.", ""]
    rows = verdict_rows(results)
    if rows:
        met = [verdict.met for result in results for verdict in result.verdicts if verdict.met is not None]
        lines += [f"## Bounds: {sum(met)} of {len(met)} met", "", "| case | what | measured | bound | |", "|---|---|---|---|---|"]
        lines += [*rows, ""]
    lines += [line for name in plots(results) for line in (f"![{name}]({name}.svg)", "")]
    lines += ["## Cases", ""]
    for result in results:
        lines += case_lines(result)
    return "\n".join(lines) + "\n"


def own_words(result, name):
    own, rate = result.own.get(name), result.rates[name]
    ratio = f"{result.own_to_base[name].median:.3f}" if name in result.own_to_base else ""
    return f" {'' if own is None else f'{own:.2f}'} | {'1' if name == result.base else ratio} | {rate:,.0f} |"


def case_lines(result):
    case = result.case
    lines = [f"### {case.name}", "", f"{case.title[0].upper()}{case.title[1:]}.", ""]
    if result.control:
        lines += [f"Noise: {of(result.control)}.", ""]
    if result.costs:
        rate = case.measure != "idle"
        lines.append(f"| program | {case.figure} | of {result.base} |" + (f" by its processes | of {result.base} | {case.unit}s/s |" if rate else ""))
        lines.append("|---|---|---|" + ("---|---|---|" if rate else ""))
        for name, spread in result.costs.items():
            ratio = of(result.to_base[name]) if name in result.to_base else ""
            ratio = "1" if name == result.base else ratio
            row = f"| {name} | {cost_words(spread)} | {ratio} |"
            lines.append(row + (own_words(result, name) if rate else ""))
        lines.append("")
    if result.latencies:
        lines += ["| program | " + " | ".join(f"{title}, us" for title in PERCENTILES.values()) + " |", "|---|---|---|---|"]
        for name, one in result.latencies.items():
            lines.append(f"| {name} | " + " | ".join(of(one[key], 0) for key in PERCENTILES) + " |")
        lines.append("")
    lines += [line for note in result.notes for line in (note, "")]
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
            lines.append(f"{name:20} {of(spread)} of {result.base}, {cost} {result.case.figure}")
    for name, one in result.latencies.items():
        lines.append(f"{name:20} " + ", ".join(f"{title} {of(one[key], 0)} us" for key, title in PERCENTILES.items()))
    for verdict in result.verdicts:
        what, unit = verdict_words(verdict)
        said = {True: "met", False: "MISSED", None: ""}[verdict.met]
        limit = "" if verdict.limit is None else f", bound {verdict.limit:g}{unit}: {said}"
        lines.append(f"{what}: {of(verdict.spread)}{unit}{limit}")
    if result.marks:
        lines.append(f"{marked_words([result])}")
    return lines + result.notes


def marked_words(results):
    """How many runs were disturbed."""
    runs = [run for result in results for one in result.runs for run in one]
    marked = sum(bool(run["marks"]) for run in runs)
    return f"{marked} of {len(runs)} runs are marked: something else was done on the proxy's processor, or steal."


def write(output, results, machine, peers, missing, settings):
    """Leaves the report in a directory."""
    (output / "report.md").write_text(markdown(results, machine, peers, missing, settings))
    (output / "data.json").write_text(data(results, machine, peers, missing, settings))
    drawn = plots(results)
    for name in PLOTS:
        # A plot of an earlier run must not stand beside this report.
        (output / f"{name}.svg").unlink(missing_ok=True)
        if name in drawn:
            (output / f"{name}.svg").write_text(drawn[name])


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
                    "own_us": result.own,
                    "own_of_base": {name: spread.as_data() for name, spread in result.own_to_base.items()},
                    "noise": result.control.as_data() if result.control else None,
                    "bounds": [
                        {
                            "who": verdict.who,
                            "against": verdict.against,
                            "kind": verdict.of,
                            "limit": verdict.limit,
                            "measured": verdict.spread.as_data(),
                            "met": verdict.met,
                        }
                        for verdict in result.verdicts
                    ],
                    "latency_us": {
                        name: {key: spread.as_data() for key, spread in one.items()}
                        for name, one in result.latencies.items()
                    },
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
