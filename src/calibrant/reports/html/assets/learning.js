"use strict";

// A figure against the number of calibration images: the median over orders, and their extremes as a whisker.
report.plots.learning = ({ lines, x, y, isLog, threshold }, width) => {
  const shown = isLog ? lines.map((line) => ({ ...line, points: line.points.filter((point) => point.y > 0) })) : lines;
  const all = shown.flatMap((line) =>
    line.points.map((point) => ({ ...point, tip: `${line.name}, ${point.x}: ${point.y.toPrecision(3)}` })),
  );
  const heights = all.map((point) => point.y);
  const yTicks = isLog ? report.powers(Math.min(...heights), Math.max(...heights) * 10) : 6;
  const box = document.createElement("div");
  box.append(legendOf(shown), Plot.plot({
    width,
    height: report.isNarrow(width) ? 260 : 320,
    marginLeft: 48,
    marginBottom: 40,
    style: report.style,
    x: { type: "log", base: 2, label: x, labelAnchor: "center", labelArrow: "none", ticks: [...new Set(all.map((point) => point.x))], tickFormat: "d" },
    y: { type: isLog ? "log" : "linear", label: `↑ ${y}`, labelArrow: "none", grid: true, nice: true, ticks: yTicks, tickFormat: "~g" },
    marks: [
      ...(threshold ? [Plot.ruleY([threshold], { strokeDasharray: "2 4" })] : []),
      ...shown.flatMap(lineMarks),
      report.tip(all, { x: "x", y: "y" }),
    ],
  }));
  return box;
};

function lineMarks({ points }, index) {
  const { color, dash, symbol } = report.series(index);
  const ends = { x: "x", y1: "low", y2: "high" };
  return [
    Plot.ruleX(points.filter((point) => point.low > 0), { ...ends, stroke: color, strokeOpacity: 0.35 }),
    Plot.line(points, { x: "x", y: "y", stroke: color, strokeWidth: 1.5, strokeDasharray: dash }),
    Plot.dot(points, { x: "x", y: "y", symbol, fill: color, r: 4 }),
  ];
}

function legendOf(lines) {
  const list = document.createElement("ul");
  list.className = "keys";
  lines.forEach(({ name }, index) => {
    const { color, dash, symbol } = report.series(index);
    const swatch = Plot.plot({
      width: 34, height: 14, margin: 0, axis: null, style: report.style, x: { domain: [0, 2] }, y: { domain: [0, 2] },
      marks: [
        Plot.line([[0, 1], [2, 1]], { stroke: color, strokeWidth: 1.5, strokeDasharray: dash }),
        Plot.dot([[1, 1]], { symbol, fill: color, r: 4 }),
      ],
    });
    const item = document.createElement("li");
    item.append(swatch, name);
    list.append(item);
  });
  return list;
}
