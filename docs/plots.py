"""Draw docs/*.svg from the figures in docs/results/: ``python docs/plots.py``; ``--check`` only compares.

    docs/results/training.json   one base's training: `python docs/plots.py --log WORK/log.jsonl` takes it from a work folder
    docs/results/recipe.json     `python bench/recipe.py ... --json`: curves of the variants, the scaling law
    docs/results/members.json    `python bench/compare.py members ... --json`: accuracy by library

What is not there is not drawn.  No library is needed, and the same figures give the same bytes.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
COLOURS = ("#0b6e99", "#d9730d", "#0f7b6c", "#ad1a72", "#6940a5", "#937264", "#dfab01", "#e03e3e")
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 400, 64, 190, 40, 48
Point = tuple[float, float]
Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """A named curve; `dots` draws its points, `dashed` marks what was not measured."""

    name: str
    points: list[Point]
    dots: bool = False
    dashed: bool = False


def svg(width: int, height: int, title: str, body: Iterable[str]) -> str:
    """A picture on white, so that it reads on dark pages too."""
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="16" y="24" font-size="15" font-weight="bold">{escape(title)}</text>',
        *body,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def chart(title: str, across: str, up: str, lines: list[Line], log: bool = False) -> str:
    """Curves over one axis each way; `log` puts the one across on a logarithm."""
    points = [p for line in lines for p in line.points]
    low, high = min(y for _, y in points), max(y for _, y in points)
    left, right = min(x for x, _ in points), max(x for x, _ in points)
    margin = (high - low or 1.0) * 0.05
    low, high = low - margin, high + margin
    scale: Callable[[float], float] = math.log10 if log else float

    def x(value: float) -> float:
        span = scale(right) - scale(left) or 1.0
        return LEFT + (scale(value) - scale(left)) / span * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)

    body = []
    for value in ticks(low, high):
        body.append(f'<path d="M{LEFT} {y(value):.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        body.append(f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{short(value)}</text>')
    for value in decades(left, right) if log else ticks(left, right):
        body.append(f'<path d="M{x(value):.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#eee"/>')
        body.append(f'<text x="{x(value):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{short(value)}</text>')
    middle = (LEFT + WIDTH - RIGHT) // 2
    body.append(f'<text x="{middle}" y="{HEIGHT - 10}" text-anchor="middle">{escape(across)}</text>')
    body.append(f'<text transform="translate(16 {HEIGHT // 2}) rotate(-90)" text-anchor="middle">{escape(up)}</text>')
    for number, line in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        path = "L".join(f"{x(a):.1f} {y(b):.1f}" for a, b in line.points)
        dash = ' stroke-dasharray="5 4"' if line.dashed else ' stroke-dasharray="1 3"' if number >= len(COLOURS) else ""
        body.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="1.6"{dash}/>')
        if line.dots:
            body += [f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="3" fill="{colour}"/>' for a, b in line.points]
        row = TOP + 8 + 15 * number
        body.append(f'<path d="M{WIDTH - RIGHT + 12} {row}h18" stroke="{colour}" stroke-width="2"{dash}/>')
        body.append(f'<text x="{WIDTH - RIGHT + 36}" y="{row + 4}">{escape(line.name)}</text>')
    return svg(WIDTH, max(HEIGHT, TOP + 24 + 15 * len(lines)), title, body)


def bars(title: str, rows: list[tuple[str, float, tuple[float, float]]]) -> str:
    """A share of one a row, with its interval."""
    left, wide, step = 150, 440, 22
    body = []
    for number, (name, value, (low, high)) in enumerate(rows):
        top = TOP + number * step
        body.append(f'<text x="{left - 8}" y="{top + 14}" text-anchor="end">{escape(name)}</text>')
        body.append(f'<rect x="{left}" y="{top + 3}" width="{wide * value:.1f}" height="{step - 6}" fill="{COLOURS[0]}" opacity="0.75"/>')
        body.append(f'<path d="M{left + wide * low:.1f} {top + step // 2}H{left + wide * high:.1f}" stroke="#222" stroke-width="1.5"/>')
        body.append(f'<text x="{left + wide + 12}" y="{top + 14}">{value:.2f} ({low:.2f} to {high:.2f})</text>')
    return svg(WIDTH, TOP + len(rows) * step + 16, title, body)


def ticks(low: float, high: float) -> list[float]:
    """About six round figures in between."""
    raw = (high - low) / 6 or 1.0
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * n for n in (1, 2, 5, 10) if power * n >= raw)
    return [n * step for n in range(math.ceil(low / step), math.floor(high / step) + 1)]


def decades(low: float, high: float) -> list[float]:
    """1, 2 and 5 of each power of ten in between."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [n * 10.0**p for p in powers for n in (1, 2, 5) if low <= n * 10.0**p <= high]


def short(value: float) -> str:
    """A figure as an axis shows it."""
    for size, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:.4g}"


def training(figures: Figures) -> dict[str, str]:
    """The loss on the way, and held-out bits per byte."""
    pictures = {}
    if figures["loss"]:
        losses = [(float(t), float(v)) for t, v in figures["loss"]]
        pictures["loss.svg"] = chart("Training loss of the base model", "tokens", "nats a token", [Line("training", losses)])
    if figures["held_out"]:
        bits = [(float(t), float(v)) for t, v in figures["held_out"]]
        pictures["held-out.svg"] = chart("Held-out text on the way", "tokens", "bits per byte", [Line("held out", bits, dots=True)])
    return pictures


def recipe(figures: Figures) -> dict[str, str]:
    """A curve a variant, over compute; and the law through the runs of several sizes."""
    runs = [r for r in figures["runs"] if not r["name"].startswith("scale")]
    curves = [Line(r["name"], [(t * r["flops"] / r["tokens"], b) for t, b in r["curve"][1:]]) for r in runs]
    pictures = {"recipe.svg": chart("Variants of the recipe on equal compute", "floating-point operations", "held-out bits per byte", curves)}
    if "law" in figures:
        found, lines = figures["law"], []
        scaled = [r for r in figures["runs"] if r["name"].startswith(("scale", "standard"))]
        for size in sorted({r["parameters"] for r in scaled}):
            seen = sorted((r["tokens"], r["bits_per_byte"]) for r in scaled if r["parameters"] == size)
            lines.append(Line(f"{size / 1e6:.1f} M, measured", seen, dots=True))
            most = max(r["tokens"] for r in scaled) * 4
            reach = [seen[0][0] * (most / seen[0][0]) ** (n / 20) for n in range(21)]
            law = [(d, found["E"] + found["A"] / size ** found["a"] + found["B"] / d ** found["b"]) for d in reach]
            lines.append(Line(f"{size / 1e6:.1f} M, by the law", law, dashed=True))
        ahead = figures["prediction"]
        lines.append(Line(f"10 x compute: {ahead['parameters'] / 1e6:.1f} M", [(ahead["tokens"], ahead["bits_per_byte"])], dots=True))
        pictures["scaling.svg"] = chart("The scaling law", "tokens", "held-out bits per byte", lines, log=True)
    return pictures


def members(figures: Figures) -> dict[str, str]:
    """Top-5 by library of the first server in a run of bench/compare.py, best first."""
    libraries = next(iter(figures.values()))["by_library"]
    rows = [(f"{name} ({f['sites']})", f["top5"], tuple(f["top5_95"])) for name, f in libraries.items()]
    return {"members.svg": bars("The author's member among the first five, by library", sorted(rows, key=lambda r: (-r[1], r[0])))}


DRAWN = {"training.json": training, "recipe.json": recipe, "members.json": members}


def condensed(log: Path, points: int = 200) -> Figures:
    """A training's log as two curves: mean losses of about so many stretches, and every held-out figure."""
    rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    losses = [r for r in rows if r.get("loss") is not None]
    step = max(1, len(losses) // points)
    groups = [losses[n : n + step] for n in range(0, len(losses), step)]
    return {
        "loss": [[g[-1]["tokens"], round(sum(r["loss"] for r in g) / len(g), 4)] for g in groups],
        "held_out": [[r["tokens"], r["bits_per_byte"]] for r in rows if r.get("bits_per_byte") is not None],
    }


def pictures(results: Path) -> dict[str, str]:
    """File name -> picture, for all figures that are there."""
    found: dict[str, str] = {}
    for name, draw in DRAWN.items():
        if (results / name).exists():
            found |= draw(json.loads((results / name).read_text(encoding="utf-8")))
    return found


def main() -> int:
    """Take a log where one is given, then draw, or tell what differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--log", type=Path, help="a log.jsonl of `octod base train`: writes training.json first")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if options.log:
        options.results.mkdir(exist_ok=True)
        (options.results / "training.json").write_text(json.dumps(condensed(options.log)) + "\n", encoding="utf-8")
    stale = 0
    for name, picture in pictures(options.results).items():
        path = options.results.parent / name
        if options.check:
            same = path.exists() and path.read_text(encoding="utf-8") == picture
            stale += not same
            print("" if same else f"{name} is not what its figures give; run python docs/plots.py\n", end="")
        else:
            path.write_text(picture, encoding="utf-8")
            print(f"wrote {path}")
    return 1 if stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
