"use strict";

// From the losing candidate's mAP at the top to the winner's at the bottom, a row for each tensor.
report.plots.waterfall = ({ bars, label }, width) => {
  const names = bars.map((bar) => bar.name);
  const room = report.nameRoom(names, width);
  const placed = bars.map((bar, position) => ({ ...bar, position }));
  const isKind = (kind) => placed.filter((bar) => bar.kind === kind);
  const bar = { x1: "from", x2: "to", y: "position", insetTop: 3, insetBottom: 3 };
  const links = placed.slice(1).map((next, index) => ({ x: placed[index].to, y1: index, y2: index + 1 }));
  return Plot.plot({
    width,
    height: 60 + 28 * bars.length,
    marginLeft: room,
    marginRight: 48,
    marginBottom: 40,
    style: report.style,
    x: { label, labelAnchor: "center", labelArrow: "none", nice: true, grid: true },
    y: report.rowAxis(names, room),
    marks: [
      Plot.barX(isKind("gain"), { ...bar, fill: "var(--winning)" }),
      Plot.barX(isKind("loss"), { ...bar, fill: "var(--page)", stroke: "var(--losing)", strokeDasharray: "4 2" }),
      Plot.link(links, { x1: "x", x2: "x", y1: "y1", y2: "y2", stroke: "var(--muted)", strokeWidth: 1 }),
      Plot.text(placed, {
        x: (row) => Math.max(row.from, row.to), y: "position", text: "text", dx: 10, textAnchor: "start",
        fontVariant: "tabular-nums", fontWeight: (row) => (row.kind in report.roles ? 700 : 400),
      }),
      ...["losing", "winning"].map((role) => {
        const { color, symbol } = report.roles[role];
        return Plot.dot(isKind(role), { x: "to", y: "position", symbol, fill: color, r: 6 });
      }),
      report.tip(placed, { x: "to", y: "position" }),
    ],
  });
};
