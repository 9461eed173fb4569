"use strict";

// Above the histogram of a tensor's magnitudes, below it a row for each candidate with its threshold.
const ROW = 20;

report.plots.histogram = ({ limit, counts, amax, rows, x }, width) => {
  const names = rows.map((row) => row.name);
  const room = report.nameRoom(names, width);
  const end = Math.max(limit, amax);
  const shared = { width, marginLeft: room, marginRight: 52, style: report.style };
  const axis = { domain: [0, end], clamp: true };
  const box = document.createElement("div");
  box.append(histogramOf(counts, limit, rows, shared, axis), thresholdsOf(rows, names, room, shared, axis, x));
  return box;
};

function histogramOf(counts, limit, rows, shared, axis) {
  const step = limit / counts.length;
  const bars = counts
    .map((count, position) => ({ x1: position * step, x2: (position + 1) * step, count }))
    .filter((bar) => bar.count > 0);
  // The others have their row only: more lines than these would hide the bars.
  const told = rows.filter((row) => row.role !== "other");
  return Plot.plot({
    ...shared,
    height: 150,
    marginTop: 22,
    marginBottom: 4,
    x: { ...axis, axis: null },
    y: { type: "log", domain: [0.8, Math.max(10, ...counts)], label: "↑ values", labelArrow: "none", ticks: report.powers(1, Math.max(10, ...counts)), tickFormat: "~s", grid: true },
    marks: [
      Plot.rectY(bars, { x1: "x1", x2: "x2", y1: 0.8, y2: "count", fill: "var(--bar)" }),
      ...told.map((row) => {
        const { color, dash } = report.roles[row.role];
        return Plot.ruleX([row.at], { stroke: color, strokeWidth: 2, strokeDasharray: dash });
      }),
      Plot.ruleY([0.8]),
    ],
  });
}

function thresholdsOf(rows, names, room, shared, axis, label) {
  const placed = rows.map((row, position) => ({ ...row, position }));
  return Plot.plot({
    ...shared,
    height: 42 + ROW * rows.length,
    marginTop: 4,
    marginBottom: 38,
    x: { ...axis, label, labelAnchor: "center", labelArrow: "none" },
    y: report.rowAxis(names, room),
    marks: [
      Plot.ruleY(placed, { x1: 0, x2: (row) => Math.min(row.at, axis.domain[1]), y: "position", stroke: "var(--line)" }),
      ...placed.map((row) => {
        const { color, symbol } = report.roles[row.role];
        return Plot.dot([row], { x: "at", y: "position", symbol, fill: color, r: row.role === "other" ? 3.5 : 5 });
      }),
      Plot.text(placed, {
        y: "position", text: "share", frameAnchor: "right", dx: 46, textAnchor: "end",
        fill: "currentColor", fontVariant: "tabular-nums",
      }),
      report.tip(placed, { x: "at", y: "position" }),
    ],
  });
}
