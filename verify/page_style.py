"""How the report page looks: one column on a phone, light or dark as the reader's system is."""

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1e23; --soft: #5b6270; --line: #d9dde4; --band: #f4f6f9;
  --good: #0a6b3d; --bad: #b3261e;
  --c0: #0b62c4; --c1: #b84a00; --c2: #0a7d55; --c3: #a8328f; --c4: #7a6400; --c5: #5b5bd6; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #16181d; --ink: #e7e9ee; --soft: #a2a9b6; --line: #363b45; --band: #20242b;
    --good: #5fd39a; --bad: #ff8f85;
    --c0: #6cb2ff; --c1: #ff9d5c; --c2: #4cc99a; --c3: #f28bd8; --c4: #d9bd3e; --c5: #a9a9ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 64rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0.5rem 0; } h2 { font-size: 1.2rem; margin: 2rem 0 0.5rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 0.4rem; }
p, dl { max-width: 44rem; } dt { font-weight: 600; } dd { margin: 0 0 0.5rem; color: var(--soft); }
.soft { color: var(--soft); } .good { color: var(--good); font-weight: 600; }
.bad { color: var(--bad); font-weight: 600; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0.7rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
thead th { background: var(--band); white-space: nowrap; }
td.number { text-align: right; white-space: nowrap; } td.number small { display: block; color: var(--soft); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: 1rem; }
figure { margin: 0; } figcaption { font-size: 0.85rem; color: var(--soft); }
svg { display: block; width: 100%; height: auto; font: 11px system-ui, sans-serif; }
svg text { fill: var(--soft); } svg .axis { font-size: 12px; }
svg .grid { stroke: var(--line); } svg .zero { stroke: var(--soft); }
svg .limit { stroke: var(--bad); stroke-dasharray: 3 4; stroke-width: 1.5; }
svg path { fill: none; stroke-width: 2; } svg .bar { stroke-width: 3; } svg path.dashed { stroke-dasharray: 6 4; }
svg .c0 { stroke: var(--c0); } svg .c1 { stroke: var(--c1); } svg .c2 { stroke: var(--c2); }
svg .c3 { stroke: var(--c3); } svg .c4 { stroke: var(--c4); } svg .c5 { stroke: var(--c5); }
svg circle { fill: var(--paper); stroke-width: 2; }
.legend { display: flex; flex-wrap: wrap; gap: 0.2rem 1.2rem; padding: 0; margin: 0.5rem 0; list-style: none;
  font-size: 0.9rem; }
.legend svg { display: inline-block; width: 2rem; height: 0.7rem; margin-right: 0.4rem; }
.row { display: flex; flex-wrap: wrap; gap: 0.8rem; margin: 0 0 1rem; padding: 0.6rem 0;
  border-top: 1px solid var(--line); }
.row > strong { flex: 0 0 100%; } .row figcaption { max-width: 10rem; line-height: 1.25; }
.row img { display: block; max-width: 100%; background: var(--band); }
.pixels { image-rendering: pixelated; }
details { margin: 0.4rem 0; } summary { cursor: pointer; }
"""
