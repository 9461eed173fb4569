"use strict";

// mAP against the share of the work in INT8: the models that no other beats in both.
report.plots.front = ({ rows, fp32, x, y }, width) => {
  const dot = { x: "x", y: "y", stroke: "currentColor", strokeWidth: 1.5 };
  return Plot.plot({
    width,
    height: report.isNarrow(width) ? 260 : 320,
    marginLeft: 44,
    marginBottom: 40,
    style: report.style,
    x: {
      label: x, labelAnchor: "center", labelArrow: "none", tickFormat: "~r",
      domain: [Math.min(90, ...rows.map((row) => row.x - 2)), 101],
    },
    y: { label: `↑ ${y}`, labelArrow: "none", grid: true, nice: true },
    marks: [
      Plot.ruleY([fp32], { strokeDasharray: "6 3" }),
      Plot.line(rows, { x: "x", y: "y", stroke: "var(--muted)", curve: "step-after" }),
      Plot.ruleX(rows, { x: "x", y1: "low", y2: "high", strokeWidth: 1.5 }),
      Plot.dot(rows.filter((row) => row.mark === "tied"), { ...dot, fill: "currentColor", r: 4 }),
      Plot.dot(rows.filter((row) => row.mark === "recommended"), {
        ...dot, symbol: "star", r: 9, fill: "var(--winning)", stroke: "var(--page)",
      }),
      report.tip(rows, { x: "x", y: "y" }),
    ],
  });
};
