"use strict";

// AP of every class or size: FP32 and the candidates on one line.
report.plots.groups = ({ rows, label }, width) => {
  const names = rows.map((row) => `${row.name} (${row.boxes.toLocaleString("en")})`);
  const room = report.nameRoom(names, width);
  const placed = rows.map((row, position) => ({ ...row, position, fp32: row.marks[0].value }));
  const dots = placed.flatMap((row) => row.marks.map((mark) => ({ ...mark, position: row.position })));
  const spans = placed.map((row) => {
    const values = row.marks.map((mark) => mark.value);
    return { position: row.position, low: Math.min(...values), high: Math.max(...values) };
  });
  return Plot.plot({
    width,
    height: 60 + 22 * rows.length,
    marginLeft: room,
    marginBottom: 40,
    style: report.style,
    x: { label, labelAnchor: "center", labelArrow: "none", zero: true, nice: true, grid: true },
    y: report.rowAxis(names, room),
    marks: [
      Plot.ruleY(spans, { x1: "low", x2: "high", y: "position", stroke: "var(--bar)", strokeWidth: 2 }),
      ...["other", "losing", "winning", "fp32"].map((role) => roleDots(dots, role)),
      report.tip(placed, { x: "fp32", y: "position" }),
    ],
  });
};

function roleDots(dots, role) {
  const { color, symbol, isHollow } = report.roles[role];
  const paint = isHollow ? { stroke: color, strokeWidth: 1.5, r: 6 } : { fill: color, r: 4 };
  return Plot.dot(dots.filter((dot) => dot.role === role), { x: "value", y: "position", symbol, ...paint });
}
