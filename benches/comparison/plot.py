"""The plots, as SVG written by hand: no dependency, and readable on a light and on a dark page."""

import math
from html import escape

WIDTH = 960
# Strong enough on white, light enough on black.
COLOURS = {
    "haproxy": "#8a8f98",
    "haring": "#e0562b",
    "haring-epoll": "#d99a1c",
    "nginx": "#2f9e5b",
    "floor": "#5b8def",
    "envoy": "#a86fd1",
    "sozu": "#2aa5a5",
}
OTHERS = ("#c2588b", "#8c7a3d", "#7d6be0")
STYLE = (
    "<style>text{font:13px system-ui,sans-serif;fill:#24292f}.soft{fill:#6a737d;font-size:12px}"
    ".title{font-size:16px;font-weight:600}.line{stroke:#8a8f98;stroke-opacity:.35}.one{stroke:#8a8f98;stroke-width:1.5}"
    ".bound{stroke:#d1242f;stroke-width:2.5}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.soft{fill:#9aa4ae}.bound{stroke:#ff6a69}}</style>"
)


def program(name):
    """The program of a contender: `haring+1m` is haring with another configuration."""
    return name.partition("+")[0]


def colour(name, names):
    """The colour of a program; one that has none of its own gets one by its place."""
    name = program(name)
    strangers = [other for other in dict.fromkeys(map(program, names)) if other not in COLOURS]
    return COLOURS.get(name) or OTHERS[strangers.index(name) % len(OTHERS)]


class Drawing:
    def __init__(self, height, title, subtitle):
        self.height = height
        self.parts = [STYLE]
        self.text(20, 28, title, "title")
        self.text(20, 48, subtitle, "soft")

    def text(self, x, y, words, kind="", anchor="start"):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>')

    def line(self, x1, y1, x2, y2, kind="line", stroke=None, width=None):
        style = f' stroke="{stroke}" stroke-width="{width}"' if stroke else f' class="{kind}"'
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"{style}/>')

    def dot(self, x, y, fill, told, hollow=False):
        paint = f'fill="none" stroke="{fill}" stroke-width="2"' if hollow else f'fill="{fill}"'
        self.parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{3.5 if hollow else 4.5}" {paint}>'
            f"<title>{escape(told)}</title></circle>"
        )

    def legend(self, names, y):
        x = 20
        for name in dict.fromkeys(map(program, names)):
            self.dot(x + 5, y - 4, colour(name, names), name)
            self.text(x + 15, y, name)
            x += 40 + 7.5 * len(name)

    def done(self):
        size = f'width="{WIDTH}" height="{self.height}" viewBox="0 0 {WIDTH} {self.height}"'
        return f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">{"".join(self.parts)}</svg>\n'


def ratios_plot(results):
    """One row for each case: every program's cost over the base's, with ranges and bounds."""
    shown = [result for result in results if len(result.to_base) > 1]
    if not shown:
        return None
    names = list(dict.fromkeys(name for result in shown for name in result.to_base if name != result.base))
    top = max(spread.high for result in shown for name, spread in result.to_base.items() if name != result.base)
    top = min(max(top, 1.1), 2.5)
    heights = [14 * max(len(result.to_base) - 1, 1) + 12 for result in shown]
    drawing = Drawing(
        140 + sum(heights),
        "Cost beside HAProxy",
        "of HAProxy's (1.0), smaller is cheaper; lines are ranges, red marks the strictest bound, "
        "hollow dots the case's other configuration (splicing, more entries)",
    )
    left, right = 210, WIDTH - 30
    place = lambda value: left + (right - left) * min(value, top) / top
    bottom = 96 + sum(heights)
    steps = 0.25
    for step in range(int(top / steps) + 1):
        x = place(step * steps)
        drawing.line(x, 84, x, bottom, "one" if step * steps == 1 else "line")
        drawing.text(x, bottom + 16, f"{step * steps:g}", "soft", "middle")
    y = 92
    for result, height in zip(shown, heights):
        drawing.text(left - 12, y + height / 2 + 4, result.case.name, anchor="end")
        others = [name for name in result.to_base if name != result.base]
        for number, name in enumerate(others):
            spread = result.to_base[name]
            row = y + 10 + 14 * number
            fill = colour(name, names)
            drawing.line(place(spread.low), row, place(spread.high), row, stroke=fill, width=2)
            drawing.dot(place(spread.median), row, fill, f"{result.case.name}, {name}: {spread.median:.3f}", "+" in name)
            bound = strictest(result, name)
            if bound:
                drawing.line(place(bound), row - 7, place(bound), row + 7, "bound")
        drawing.line(20, y + height, right, y + height)
        y += height
    drawing.legend(names, 74)
    return drawing.done()


def strictest(result, name):
    """The lowest bound of a program in a case, of the base's cost."""
    limits = [
        verdict.limit * result.to_base[verdict.against].median
        for verdict in result.verdicts
        if verdict.who == name and verdict.of == "ratio" and verdict.limit
    ]
    return min(limits, default=None)


def lines_plot(title, subtitle, columns, series):
    """Lines over named columns, on a logarithmic scale."""
    values = [value for line in series.values() for value in line if value]
    if not values or len(columns) < 2:
        return None
    low, high = math.log(min(values) * 0.9), math.log(max(values) * 1.1)
    drawing = Drawing(420, title, subtitle)
    left, right, top, bottom = 70, WIDTH - 30, 96, 370
    x_of = lambda number: left + 30 + (right - left - 60) * number / (len(columns) - 1)
    y_of = lambda value: bottom - (bottom - top) * (math.log(value) - low) / (high - low)
    for value in ticks(math.exp(low), math.exp(high)):
        drawing.line(left, y_of(value), right, y_of(value))
        drawing.text(left - 8, y_of(value) + 4, f"{value:,.6g}", "soft", "end")
    for number, column in enumerate(columns):
        drawing.text(x_of(number), bottom + 22, column, "soft", "middle")
    names = list(series)
    for name, line in series.items():
        points = [(x_of(number), y_of(value), value) for number, value in enumerate(line) if value]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in points)
        stroke = colour(name, names)
        drawing.parts.append(f'<polyline points="{path}" fill="none" stroke="{stroke}" stroke-width="2"/>')
        for x, y, value in points:
            drawing.dot(x, y, stroke, f"{name}: {value:.4g}")
    drawing.legend(names, 74)
    return drawing.done()


def ticks(low, high):
    """Round numbers on a logarithmic scale: 1, 2 and 5 of each power of ten; more when these are too few."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9)):
        found = [step * 10**power for power in powers for step in steps if low <= step * 10**power <= high]
        if len(found) >= 3:
            break
    return found


def connections_plot(results):
    """What a request costs as connections grow."""
    shown = [result for result in results if result.case.name.startswith("keepalive-")]
    names = list(dict.fromkeys(name for result in shown for name in result.costs))
    series = {name: [r.costs[name].median if name in r.costs else None for r in shown] for name in names}
    columns = [result.case.name.rpartition("-")[2] for result in shown]
    return lines_plot("Cost by connections", "microseconds of processor per keep-alive request, by connections", columns, series)


def latency_plot(results):
    """The percentiles of the latency case."""
    for result in results:
        if result.latencies:
            series = {name: [s.median for s in one.values()] for name, one in result.latencies.items()}
            columns = [{"p999": "p99.9"}.get(key, key) for key in next(iter(result.latencies.values()))]
            return lines_plot("Latency", "microseconds from when a request was due, at a fixed rate", columns, series)
    return None


PLOTS = {"ratios": ratios_plot, "connections": connections_plot, "latency": latency_plot}


def plots(results):
    """The plots for which there are figures."""
    drawn = {name: draw(results) for name, draw in PLOTS.items()}
    return {name: text for name, text in drawn.items() if text}
