"""The report as one HTML file: it opens from disk, needs no network and no script, and prints well."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.application.formatting import inline, number, paragraphs

# The pictures are white cards on purpose: a dark page must not swallow their black axes.
_STYLE = """
:root { color-scheme: light dark; --ink: #1d2433; --soft: #5c6579; --rule: #d9dee8; --page: #fff; --card: #f5f7fa;
        --accent: #0072b2; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8f0; --soft: #9aa4b8; --rule: #333b4a; --page: #14181f; --card: #1d232d; --accent: #56b4e9; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); line-height: 1.6;
       font: 1.05rem/1.6 system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, "DejaVu Sans", sans-serif; }
main { max-width: 52rem; margin: 0 auto; padding: 3rem 1.5rem 4rem; }
header { border-bottom: 1px solid var(--rule); margin-bottom: 2rem; padding-bottom: 1rem; }
.kicker { color: var(--accent); font-size: .85rem; font-weight: 600; letter-spacing: .06em; margin: 0; }
h1 { font-size: 2.1rem; line-height: 1.2; margin: .3rem 0 1rem; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .75rem; }
p { margin: 0 0 1rem; }
pre { background: var(--card); border-radius: 6px; overflow-x: auto; padding: .8rem 1rem; }
code, pre { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: .9em; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
caption { font-weight: 600; padding: 0 0 .5rem; text-align: left; }
th, td { border-bottom: 1px solid var(--rule); padding: .4rem .9rem .4rem 0; text-align: left; vertical-align: top; }
thead th { color: var(--soft); font-size: .9rem; }
tbody th { font-weight: 500; }
.headline { background: var(--card); border-radius: 10px; padding: .5rem 1.25rem; }
.headline tr:last-child > * { border-bottom: 0; }
.headline td { font-weight: 600; padding-right: 0; text-align: right; }
.scroll { margin: 1.5rem 0; overflow-x: auto; }
.number { text-align: right; white-space: nowrap; }
thead .number { white-space: normal; }
figure { margin: 2.25rem 0; }
figure img { background: #fff; border: 1px solid var(--rule); border-radius: 10px; display: block; height: auto;
             margin: 0 auto; max-width: 100%; padding: .75rem; }
figcaption { color: var(--soft); font-size: .95rem; margin: .7rem auto 0; max-width: 44rem; }
footer { border-top: 1px solid var(--rule); color: var(--soft); font-size: .92rem; margin-top: 3rem; }
footer h2 { color: var(--ink); }
footer td { overflow-wrap: anywhere; }
.columns { display: grid; gap: 0 2.5rem; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); }
@media print { main { max-width: none; padding: 0; } figure, tr { break-inside: avoid; } }
"""


def document(
    title: str,
    lead: str,
    headline: Mapping[str, Any],
    blocks: Sequence[str],
    record: Mapping[str, Any],
    results: Mapping[str, Any],
) -> str:
    """The whole page.

    Args:
        title: one line.
        lead: paragraphs that say what the experiment shows.
        headline: the figures at the top, by their names.
        blocks: HTML of what follows, from `text`, `table` and `figure`.
        record: the content of config.json.
        results: the content of summary.json.
    """
    kicker = f"ebmjax · {record['experiment']}{' · quick run' if record['quick'] else ''}"
    names = {name: name.replace("_", " ") for name in headline}
    figures = f'<div class="headline">{_pairs(names, headline)}</div>' if headline else ""
    config = record["config"]
    settings = {"seed": record["seed"], **config} if isinstance(config, Mapping) else {"seed": record["seed"]}
    timing = {
        "device": results["device"],
        "compiling": f"{results['seconds_compile']:.1f} s",
        "running": f"{results['seconds_run']:.1f} s",
    }
    run = timing | results["versions"]
    newline = "\n"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)} · ebmjax</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<header>
<p class="kicker">{html.escape(kicker)}</p>
<h1>{inline(title)}</h1>
{paragraphs(lead)}
</header>
{figures}
{newline.join(blocks)}
<footer>
<div class="columns">
<section><h2>Configuration</h2>{_pairs({name: name for name in settings}, settings)}</section>
<section><h2>How it was run</h2>{_pairs({name: name for name in run}, run)}</section>
</div>
</footer>
</main>
</body>
</html>
"""


def text(text: str) -> str:
    """Paragraphs."""
    return paragraphs(text)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table with a title; columns of numbers are set flush right."""
    numeric = [bool(rows) and all(_is_numeric(row[index]) for row in rows) for index in range(len(columns))]
    style = [' class="number"' if right else "" for right in numeric]
    head = "".join(f'<th scope="col"{s}>{inline(name)}</th>' for s, name in zip(style, columns, strict=True))
    body = "\n".join(
        "<tr>"
        + "".join(f"<td{s}>{html.escape(number(cell))}</td>" for s, cell in zip(style, row, strict=True))
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll"><table><caption>{inline(title)}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def figure(name: str, png: str, caption: str) -> str:
    """A picture, given as base64 of a PNG, over its caption."""
    described = html.escape(caption.replace("`", "").replace("**", "") or name.replace("_", " "))
    below = f"\n<figcaption>{inline(caption)}</figcaption>" if caption else ""
    picture = f'<img alt="{described}" src="data:image/png;base64,{png}">'
    return f'<figure id="{html.escape(name)}">\n{picture}{below}\n</figure>'


def _is_numeric(cell: Any) -> bool:
    # Infinity is a string in JSON.
    return not isinstance(cell, str) or cell in ("inf", "-inf", "nan")


def _pairs(names: Mapping[str, str], values: Mapping[str, Any]) -> str:
    rows = "\n".join(
        f'<tr><th scope="row">{html.escape(label)}</th><td>{html.escape(number(values[key]))}</td></tr>'
        for key, label in names.items()
    )
    return f"<table><tbody>\n{rows}\n</tbody></table>"
