"""What the evaluation's page adds to the look of the inspection's."""

from __future__ import annotations

from catseye.capture.inspection.style import STYLE as _INSPECTION

STYLE = (
    _INSPECTION
    + """
.scroll{overflow-x:auto}.table{border-collapse:collapse;width:100%;font-size:13.5px;
font-variant-numeric:tabular-nums}
.table th,.table td{padding:6px 12px;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
.table th:first-child,.table td:first-child{text-align:left;padding-left:0}
.table thead th{font-weight:600;vertical-align:bottom}.table thead small,.table td small{display:block;
font-weight:400;color:var(--dim);font-size:12px}
.table tbody th{color:var(--use);font-size:12.5px;font-weight:600;padding-top:16px}
.table tr:last-child td{border-bottom:0}.table b{font-weight:700;color:var(--use)}
.table .blind{color:var(--dim)}
.strip{display:grid;gap:10px;margin-bottom:10px}
.strip figure img{image-rendering:auto}
.worst{display:grid;grid-template-columns:repeat(auto-fill,minmax(300px,1fr));gap:12px}
.fold{margin:0 0 18px}.fold>h3{margin:18px 0 8px}
.legend .hit{background:rgb(80,210,110)}.legend .miss{background:rgb(255,70,90)}
.legend .wrong{background:rgb(255,190,40)}
.bars .name{grid-column:1/-1;margin-top:6px;font-weight:600}
figcaption .mark{display:block;color:var(--ink);font-weight:600}
"""
)
