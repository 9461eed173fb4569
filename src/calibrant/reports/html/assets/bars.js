"use strict";

// A dot on a stem for each row, its figure beside it.
report.plots.bars = ({ bars, label }, width) => {
  const names = bars.map((bar) => bar.name);
  const room = report.nameRoom(names, width);
  const placed = bars.map((bar, position) => ({ ...bar, position }));
  return Plot.plot({
    width,
    height: 60 + 22 * bars.length,
    marginLeft: room,
    marginBottom: 40,
    marginRight: 56,
    style: report.style,
    x: { label, labelAnchor: "center", labelArrow: "none", zero: true, nice: true, grid: true },
    y: report.rowAxis(names, room),
    marks: [
      Plot.ruleX([0]),
      Plot.ruleY(placed, { x1: 0, x2: "value", y: "position", strokeWidth: 2, stroke: "var(--bar)" }),
      Plot.dot(placed, { x: "value", y: "position", fill: "currentColor", r: 4 }),
      Plot.text(placed, {
        y: "position", text: "text", frameAnchor: "right", dx: 50, textAnchor: "end", fontVariant: "tabular-nums",
      }),
      report.tip(placed, { x: "value", y: "position" }),
    ],
  });
};
