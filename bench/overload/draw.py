"""Draws the figures of overload.py as SVG, one file a figure.

    bench/overload/draw.py FIGURES.json [FIGURES.json] FOLDER

Writes goodput.svg, latency.svg and refusals.svg of `curve`, and step.svg, storm.svg and square.svg of the others.
"""

import html
import json
import math
import pathlib
import sys

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 64, 20, 64, 48
COLOURS = ("#0b6e99", "#c2410c", "#4d7c0f", "#7c3aed", "#64748b")
STYLE = "text{font:12px sans-serif;fill:#222}.title{font-size:14px;font-weight:600}.grid{stroke:#ddd}.limit{stroke:#888;stroke-dasharray:5 4}"


def ticks(most, count=5):
    """About so many round numbers from 0 to beyond `most`."""
    rough = max(most, 1e-9) / count
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    return [step * i for i in range(math.ceil(most / step - 1e-9) + 1)]


def text(x, y, words, anchor="middle", more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{html.escape(words)}</text>'


def chart(title, x_label, y_label, series, limits=()):
    """An SVG of lines.
    series  (name, [(x, y or None)]): where there is no y the line is interrupted
    limits  (y, name): dashed lines across, which the scale has room for
    """
    xs = [x for _, points in series for x, _ in points]
    ys = [y for _, points in series for _, y in points if y is not None] + [y for y, _ in limits]
    x_ticks, y_ticks = ticks(max(xs), 10), ticks(max(ys, default=1))

    def place(x, y):
        across = LEFT + x / x_ticks[-1] * (WIDTH - LEFT - RIGHT)
        return across, HEIGHT - BOTTOM - y / y_ticks[-1] * (HEIGHT - TOP - BOTTOM)

    left, bottom = place(0, 0)
    right, top = place(x_ticks[-1], y_ticks[-1])
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"><style>{STYLE}</style>']
    out.append(f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>')
    out.append(text(LEFT, 20, title, "start", ' class="title"'))
    for y in y_ticks:
        _, at = place(0, y)
        out.append(f'<path class="grid" d="M{left:.1f} {at:.1f}H{right:.1f}"/>' + text(left - 6, at + 4, f"{y:g}", "end"))
    for x in x_ticks:
        at, _ = place(x, 0)
        out.append(text(at, bottom + 16, f"{x:g}"))
    out.append(text((left + right) / 2, HEIGHT - 10, x_label))
    middle = (top + bottom) / 2
    out.append(text(16, middle, y_label, "middle", f' transform="rotate(-90 16 {middle:.1f})"'))
    for y, name in limits:
        _, at = place(0, y)
        out.append(f'<path class="limit" d="M{left:.1f} {at:.1f}H{right:.1f}"/>' + text(right, at - 4, name, "end"))
    for number, (name, points) in enumerate(series):
        out += line(name, points, place, COLOURS[number % len(COLOURS)], LEFT + 190 * number)
    return "\n".join([*out, "</svg>"]) + "\n"


def line(name, points, place, colour, legend_x):
    path, drawing = "", False
    marks = []
    for x, y in points:
        if y is not None:
            across, up = place(x, y)
            path += f"{'L' if drawing else 'M'}{across:.1f} {up:.1f}"
            marks.append(f'<circle cx="{across:.1f}" cy="{up:.1f}" r="3" fill="{colour}"/>')
        drawing = y is not None
    legend = f'<path d="M{legend_x} 40h16" stroke="{colour}" stroke-width="2"/>' + text(legend_x + 22, 44, name, "start")
    return [f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"/>', *marks, legend]


def curves(figures):
    """{file: SVG} of the figures against the offered load."""

    def series(name):
        return [
            (figures["titles"][configuration], [(float(load), point[name]) for load, point in points.items()])
            for configuration, points in figures["curve"].items()
        ]

    x = "offered load, in multiples of the peak goodput"
    objective = (figures["objective_ms"], "objective")
    return {
        "goodput": chart("Goodput", x, "good answers a second", series("good"), [(figures["peak"], "peak")]),
        "latency": chart("p99 latency of what is answered", x, "ms from the intended time", series("p99_ms"), [objective]),
        "refusals": chart("Refusals", x, "refused a second", series("refused")),
    }


def over_time(figures, name, title):
    """Goodput of each second of runs whose load changes, beside what was offered."""
    found = figures[name]
    series = [
        (figures["titles"][configuration], [(second["second"], second["good"]) for second in each["seconds"]])
        for configuration, each in found.items()
    ]
    return chart(title, "second of the run", "good answers a second", series, [(figures["peak"], "peak")])


def draw(figures, folder):
    """Writes what there are figures of; the files' names."""
    svgs = curves(figures) if "curve" in figures else {}
    titles = {
        "step": "Goodput, from the peak to ten times of it at second 5",
        "storm": "Goodput in a retry storm: three times the load from second 5 to 10",
        "square": "Goodput while the load is half the peak and four times of it, in turn",
    }
    svgs |= {name: over_time(figures, name, title) for name, title in titles.items() if name in figures}
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    for name, svg in svgs.items():
        (pathlib.Path(folder) / f"{name}.svg").write_text(svg)
    return [f"{name}.svg" for name in svgs]


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    for file in sys.argv[1:-1]:
        print(*draw(json.loads(pathlib.Path(file).read_text()), sys.argv[-1]))


if __name__ == "__main__":
    main()
