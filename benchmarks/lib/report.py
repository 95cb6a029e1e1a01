"""Tables and charts from results.json; `python3 benchmarks/lib/report.py benchmarks` draws them anew."""

import html
import json
import pathlib
import statistics
import sys

COLOURS = {"dockrion": "#d9480f", "redis": "#e8590c", "evhttp": "#495057", "hummingbird": "#1971c2", "python": "#2f9e44", "nchan": "#9c36b5"}


def number(value):
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value else "0"


def spread(cell):
    """How far the rounds lie apart, as a share of the median."""
    if not cell["median"]:
        return ""
    return f"{(cell['max'] - cell['min']) / cell['median'] * 100:.0f} %"


def cell_of(scenario, peer, figure):
    return scenario["peers"].get(peer, {}).get(figure)


def ratio(own, other):
    """The median of the rounds' ratios: what disturbs a whole round disturbs them little."""
    pairs = [(a, b) for a, b in zip(own["rounds"], other["rounds"]) if b]
    if len(own["rounds"]) != len(other["rounds"]) or not pairs:
        return own["median"] / other["median"]
    return statistics.median(a / b for a, b in pairs)


def goals(document):
    """Each goal as (scenario, words, value, whether it is met); nothing where a peer was not measured."""
    for scenario in document["scenarios"]:
        for figure, peer, kind, bound in scenario["goals"]:
            own = cell_of(scenario, "dockrion", figure)
            other = cell_of(scenario, peer, figure) if peer else None
            if own is None or (peer and (other is None or not other["median"])):
                continue
            value = ratio(own, other) if peer else own["median"]
            met = value >= bound if kind == "ratio at least" else value <= bound
            sign = "≥" if kind == "ratio at least" else "≤"
            against = f"over {peer}'s" if peer else ""
            yield scenario["name"], f"{figure} {against}".strip(), value, f"{sign} {bound:g}", met


def text(document):
    """What a terminal shows."""
    lines = [""]
    for scenario in document["scenarios"]:
        lines.append(f"{scenario['title']}: {scenario['headline']}, {scenario['unit']}")
        for peer, figures in scenario["peers"].items():
            cell = figures.get(scenario["headline"])
            if cell:
                lines.append(f"  {peer:12} {number(cell['median']):>12}   {spread(cell)}")
    if document["scenarios"]:
        lines.append("")
    for name, words, value, bound, met in goals(document):
        lines.append(f"{'met   ' if met else 'MISSED'} {name}: {words} is {value:.2f} ({bound})")
    return "\n".join(lines)


def markdown(document):
    facts = document["machine"]
    lines = [
        "# What the benchmarks said", "",
        "Made by `benchmarks/run`; do not edit. Repeat it with `make bench` (installs wrk, nginx, Nchan and the Python",
        "original, builds the peers) on a machine that does nothing else.", "",
        f"- {document['date']}, `{document['command']}`, {document['rounds']} rounds, {document['seconds']} s",
        f"- {facts['cores']} cores ({facts['processor']}), {facts['memory_gib']} GiB, {facts['system']},"
        f" load {facts['load_before']} before it, commit {facts['commit']}",
        "- server on core 0, client on core 1, in turn within each round; medians, how far the rounds lie apart,",
        "  and medians of the rounds' ratios",
    ]
    lines += [f"- {name}: {version}" for name, version in document["versions"].items()]
    if document["void"]:
        lines += ["", "Void, and not in the tables:", ""] + [f"- {void}" for void in document["void"]]
    lines += ["", "## Goals", "", "| scenario | figure | measured | goal | |", "|---|---|---|---|---|"]
    for name, words, value, bound, met in goals(document):
        lines.append(f"| {name} | {words} | {value:.2f} | {bound} | {'met' if met else '**missed**'} |")
    for scenario in document["scenarios"]:
        lines += ["", f"## {scenario['title']}", "", f"    {scenario['command']}", "",
                  f"![{scenario['title']}](charts/{scenario['name']}.svg)", ""]
        lines += table(scenario)
    return "\n".join(lines) + "\n"


def table(scenario):
    peers = list(scenario["peers"])
    names = []
    for figures in scenario["peers"].values():
        names += [name for name in figures if name not in names]
    lines = ["| | " + " | ".join(peers) + " |", "|---" * (len(peers) + 1) + "|"]
    for name in names:
        cells = [cell_of(scenario, peer, name) for peer in peers]
        lines.append(f"| {name} | " + " | ".join(
            f"{number(cell['median'])} ({spread(cell)})" if cell and spread(cell) else number(cell["median"]) if cell else ""
            for cell in cells) + " |")
    own = cell_of(scenario, "dockrion", scenario["headline"])
    others = [cell_of(scenario, peer, scenario["headline"]) for peer in peers]
    if own and len(peers) > 1:
        lines.append(f"| dockrion's {scenario['headline']} over this | " + " | ".join(
            f"{ratio(own, cell):.2f}" if cell and cell["median"] else "" for cell in others) + " |")
    return lines


def chart(scenario):
    """Bars of the headline figure, with a line from the lowest to the highest round."""
    rows = [(peer, figures[scenario["headline"]]) for peer, figures in scenario["peers"].items()
            if scenario["headline"] in figures]
    if not rows:
        return None
    left, width, step = 110, 430, 34
    scale = width / (max(cell["max"] for _, cell in rows) or 1)
    height = 44 + step * len(rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 680 {height}" font-family="sans-serif" font-size="14">',
        f'<rect width="680" height="{height}" fill="#ffffff"/>',
        f'<text x="10" y="22" font-weight="bold">{html.escape(scenario["headline"])}, {html.escape(scenario["unit"])}</text>',
    ]
    for index, (peer, cell) in enumerate(rows):
        y = 36 + step * index
        end = left + cell["median"] * scale
        parts += [
            f'<text x="{left - 8}" y="{y + 17}" text-anchor="end">{html.escape(peer)}</text>',
            f'<rect x="{left}" y="{y}" width="{max(1, end - left):.1f}" height="24" fill="{COLOURS.get(peer, "#868e96")}"/>',
            f'<path d="M{left + cell["min"] * scale:.1f} {y + 12}H{left + cell["max"] * scale:.1f}" stroke="#000" stroke-width="2"/>',
            f'<text x="{left + cell["max"] * scale + 8:.1f}" y="{y + 17}">{number(cell["median"])}</text>',
        ]
    return "\n".join(parts + ["</svg>"]) + "\n"


def write(document, directory):
    charts = directory / "charts"
    charts.mkdir(exist_ok=True)
    for scenario in document["scenarios"]:
        drawing = chart(scenario)
        if drawing:
            (charts / f"{scenario['name']}.svg").write_text(drawing)
    (directory / "RESULTS.md").write_text(markdown(document))


if __name__ == "__main__":
    place = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    write(json.loads((place / "results.json").read_text()), place)
