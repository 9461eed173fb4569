"use strict";

// The layers in the engine's order, each in the row of what it computes in; a diamond before it for each
// tensor that is first turned into that.
report.plots.precision = ({ layers, rows, label }, width) => {
  const placed = layers.map((layer) => ({ ...layer, row: rows.indexOf(layer.computes) }));
  const passes = placed.filter((layer) => layer.reformats > 0);
  return Plot.plot({
    width,
    height: 150,
    marginLeft: 44,
    marginBottom: 40,
    style: report.style,
    x: { domain: [0, layers.length], label, labelAnchor: "center", labelArrow: "none", tickFormat: "d" },
    y: { domain: [rows.length - 0.5, -0.5], ticks: d3.range(rows.length), tickFormat: (row) => rows[row], tickSize: 0, label: null },
    marks: [
      Plot.rect(placed, {
        x1: (layer) => layer.x, x2: (layer) => layer.x + 1, y1: (layer) => layer.row - 0.4, y2: (layer) => layer.row + 0.3,
        fill: (layer) => (layer.row === 0 ? "var(--winning)" : "var(--losing)"), stroke: "var(--surface)", strokeWidth: 0.5,
      }),
      Plot.dot(passes, { x: "x", y: 0.5, symbol: "diamond", fill: "currentColor", r: 4 }),
      report.tip(placed, { x: "x", y: "row" }),
    ],
  });
};
