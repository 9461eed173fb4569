"use strict";

// Signal to noise behind every layer, in the network's order, a line for each candidate.
report.plots.growth = ({ lines, x, y }, width) => {
  const all = lines.flatMap((line) => line.points);
  const marks = lines.flatMap(({ role, points }) => {
    const { color, dash, symbol } = report.roles[role];
    const steep = points.filter((point) => point.isSteep);
    return [
      Plot.line(points, { x: "x", y: "y", stroke: color, strokeWidth: 1.5, strokeDasharray: dash }),
      Plot.dot(points, { x: "x", y: "y", symbol, fill: color, r: 2.5 }),
      Plot.dot(steep, { x: "x", y: "y", stroke: color, strokeWidth: 1.5, r: 7 }),
    ];
  });
  return Plot.plot({
    width,
    height: report.isNarrow(width) ? 240 : 300,
    marginLeft: 44,
    marginBottom: 40,
    style: report.style,
    x: { label: x, labelAnchor: "center", labelArrow: "none", tickFormat: "d" },
    y: { label: `↑ ${y}`, labelArrow: "none", grid: true, nice: true },
    marks: [...marks, report.tip(all, { x: "x", y: "y" })],
  });
};
