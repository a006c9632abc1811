"""The look of the inspection's page."""

from __future__ import annotations

STYLE = """
:root{--bg:#f5f6f8;--card:#fff;--ink:#1b2027;--dim:#646d79;--line:#e3e6ea;--use:#2f6fed;--aside:#e39a2d;
--chart-0:var(--use);--chart-1:var(--aside);--over:#b45309;--under:#7c3aed}
@media(prefers-color-scheme:dark){:root{--bg:#0f1216;--card:#181d23;--ink:#e7eaee;--dim:#98a2ae;
--line:#2a313a;--use:#5c97ff;--aside:#e8ab4f;--over:#f0b45e;--under:#b79bff}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1180px;padding:28px 20px 48px;background:var(--bg);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;-webkit-text-size-adjust:100%}
h1{font-size:30px;line-height:1.15;margin:2px 0 6px;letter-spacing:-.02em;overflow-wrap:anywhere}
h2{font-size:20px;letter-spacing:-.01em;margin:40px 0 12px}h3{font-size:15px;margin:0 0 8px}
.kicker{margin:0;color:var(--use);font-weight:600;font-size:13px}.dim,.note{color:var(--dim)}
header p{margin:0;overflow-wrap:anywhere}.note{font-size:12.5px;margin:8px 0 0}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(128px,1fr));gap:12px;margin-top:20px}
.card,.panel,.says,.notes{background:var(--card);border:1px solid var(--line);border-radius:12px}
.card{padding:14px 16px}.card b{display:block;font-size:22px;letter-spacing:-.02em;white-space:nowrap;
font-variant-numeric:tabular-nums}.card span{color:var(--dim);font-size:13px}
.grid{columns:330px 3;column-gap:14px}.panel{padding:16px 18px;margin-bottom:14px;break-inside:avoid}
.wide{padding:0;overflow:hidden}
.says,.notes{margin:0;padding:14px 18px 14px 34px}.says li{margin:3px 0}.notes li{margin:6px 0;
overflow-wrap:anywhere}code{font:12.5px/1.4 ui-monospace,Menlo,Consolas,monospace}
.rows{list-style:none;margin:0;padding:0;font-size:13.5px}
.rows li{display:grid;grid-template-columns:1fr auto auto;column-gap:12px;padding:5px 0}
.rows span,.rows b{overflow-wrap:anywhere}.rows .dim,.rows b{white-space:nowrap;text-align:right;
font-variant-numeric:tabular-nums}.rows b{font-weight:600;min-width:4.2em}
.bar{grid-column:1/-1;display:flex;height:6px;margin-top:3px;border-radius:4px;overflow:hidden;background:var(--line)}
.bar i{display:block;min-width:1px}.bar .u{background:var(--use)}.bar .a{background:var(--aside)}
em.over,em.under{font-style:normal;font-size:11px;font-weight:600;border:1px solid;border-radius:99px;
padding:0 6px;white-space:nowrap}.over{color:var(--over)}.under{color:var(--under)}
.panel>svg{display:block;width:100%;height:auto}
.map{display:block;width:100%;height:auto}.map text{fill:var(--dim);font:12px system-ui,sans-serif}
.map g path{stroke-width:2;fill:none;stroke-linejoin:round;stroke-linecap:round}
.map .bar{display:inline;stroke:var(--dim);fill:none;stroke-width:1.5}
.legend{display:flex;flex-wrap:wrap;gap:4px 16px;margin:0 0 10px;font-size:13px;color:var(--dim)}
.legend i{display:inline-block;width:12px;height:12px;border-radius:3px;margin-right:6px;
vertical-align:-1px}.legend .u{background:var(--use)}.legend .a{background:var(--aside)}
.legend svg{width:18px;height:6px;margin-right:6px;vertical-align:middle}.legend path{stroke-width:4}
.v0{stroke:#3b4cc0}.v1{stroke:#3f8fd2}.v2{stroke:#27b09a}.v3{stroke:#9cc035}.v4{stroke:#f0a02c}
.v5{stroke:#d6383a}.v6{stroke:#8d96a1}
.sheet{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:12px}
figure{margin:0;background:var(--card);border:1px solid var(--line);border-radius:10px;overflow:hidden}
figure img{display:block;width:100%;height:auto}figcaption{padding:7px 10px 9px;font-size:12px;
line-height:1.4;color:var(--dim);overflow-wrap:anywhere}figcaption b{color:var(--ink);font-weight:500}
figcaption em{font-style:normal;font-weight:600;color:var(--over)}
.lost{padding:14px 10px;font-size:12px;color:var(--over);overflow-wrap:anywhere}
footer{margin-top:40px;color:var(--dim);font-size:12.5px}
@media(max-width:520px){body{padding:18px 14px 32px}h1{font-size:25px}
.cards{grid-template-columns:1fr 1fr}.sheet{grid-template-columns:1fr 1fr}}
@media print{body{max-width:none;background:#fff}.panel,figure{break-inside:avoid}}
"""
