"""What the load scripts write: a CSV file, charts as SVG, slopes."""

import csv
import statistics


def slope(times, values, pairs_max=40_000):
    """Theil and Sen's slope per second: the median over pairs, which a few odd samples do not move."""
    count = len(times)
    step = max(1, count * count // 2 // pairs_max)
    slopes, number = [], 0
    for first in range(count):
        for second in range(first + 1, count):
            number += 1
            if number % step == 0 and times[second] > times[first]:
                slopes.append((values[second] - values[first]) / (times[second] - times[first]))
    return statistics.median(slopes) if slopes else 0.0


def write_csv(path, rows):
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def write_svg(path, title, rows, charts):
    """One chart below the other, all over the column `seconds`; `charts` has (column, label)."""
    width, height, left, gap = 900, 120, 90, 34
    times = [row["seconds"] for row in rows]
    span = max(times[-1] - times[0], 1)
    parts = []
    for place, (column, label) in enumerate(charts):
        values = [row[column] for row in rows]
        top = max(values) or 1
        base = 40 + place * (height + gap) + height
        x = lambda at: left + (at - times[0]) / span * (width - left - 20)
        y = lambda value: base - value / top * height
        points = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in zip(times, values))
        parts.append(f'<text x="{left}" y="{base - height - 6}" font-weight="bold">{label}</text>')
        for part in (0, 0.5, 1):
            line = y(top * part)
            parts.append(f'<line x1="{left}" x2="{width - 20}" y1="{line:.1f}" y2="{line:.1f}" stroke="#ddd"/>')
            parts.append(f'<text x="{left - 6}" y="{line + 4:.1f}" text-anchor="end">{top * part:,.4g}</text>')
        parts.append(f'<polyline points="{points}" fill="none" stroke="#0a6ebd" stroke-width="1.3"/>')
    bottom = 40 + len(charts) * (height + gap)
    parts.append(f'<text x="{left}" y="{bottom}">0</text>')
    parts.append(f'<text x="{width - 20}" y="{bottom}" text-anchor="end">{span / 60:.1f} minutes</text>')
    with open(path, "w") as file:
        file.write(
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{bottom + 14}" '
            f'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>'
            f'<text x="{left}" y="18" font-size="14">{title}</text>{"".join(parts)}</svg>\n'
        )
