"use strict";

// A dot with a whisker for each candidate: points lost against FP32, which is the line at zero.
report.plots.ranking = ({ rows, label, metric }, width) => {
  const names = rows.map((row) => row.name);
  const room = report.nameRoom(names, width);
  const placed = rows.map((row, position) => ({ ...row, position }));
  const marked = (mark) => placed.filter((row) => row.mark === mark);
  const dot = { x: "drop", y: "position", r: 5, stroke: "currentColor", strokeWidth: 1.5 };
  return Plot.plot({
    width,
    height: 66 + 30 * rows.length,
    marginLeft: room,
    marginRight: 56,
    marginTop: 24,
    marginBottom: 40,
    style: report.style,
    x: { label, labelAnchor: "center", labelArrow: "none", nice: true, grid: true, zero: true },
    y: report.rowAxis(names, room),
    marks: [
      Plot.ruleX([0], { strokeWidth: 1.5 }),
      Plot.ruleY(placed, { x1: "low", x2: "high", y: "position", strokeWidth: 1.5 }),
      Plot.tickX(placed, { x: "low", y: "position", insetTop: 9, insetBottom: 9 }),
      Plot.tickX(placed, { x: "high", y: "position", insetTop: 9, insetBottom: 9 }),
      Plot.dot(marked("worse"), { ...dot, fill: "var(--page)" }),
      Plot.dot(marked("stopped"), { ...dot, symbol: "diamond", fill: "var(--page)" }),
      Plot.dot(marked("tied"), { ...dot, fill: "currentColor" }),
      Plot.dot(marked("recommended"), { ...dot, symbol: "star", r: 9, fill: "var(--winning)", stroke: "var(--page)" }),
      Plot.text([metric], { frameAnchor: "top-right", dx: 48, dy: -16, textAnchor: "end", fill: "var(--muted)" }),
      Plot.text(placed, {
        y: "position", text: "map", frameAnchor: "right", dx: 48, textAnchor: "end",
        fontVariant: "tabular-nums", fontWeight: (row) => (row.mark === "recommended" ? 700 : 400),
      }),
      report.tip(placed, { x: "drop", y: "position" }),
    ],
  });
};
