"use strict";

// What all plots share. A plot is a function of its data and the width in pixels that gives a node.
const report = { plots: {} };

// Roles differ by mark and dash, so that they can be told apart without colour (see templates/key.html).
report.roles = {
  winning: { color: "var(--winning)", dash: null, symbol: "circle" },
  losing: { color: "var(--losing)", dash: "6 3", symbol: "square" },
  other: { color: "var(--muted)", dash: "2 3", symbol: "diamond" },
  fp32: { color: "currentColor", dash: null, symbol: "circle", isHollow: true },
};

// For lines that have no role: one mark, dash and colour each, again from the start after the last.
const SYMBOLS = ["circle", "square", "triangle", "diamond", "star", "cross", "wye", "times"];
const DASHES = [null, "6 3", "2 3", "9 3 2 3"];
report.series = (index) => ({
  color: `var(--series-${index % 4})`,
  dash: DASHES[index % DASHES.length],
  symbol: SYMBOLS[index % SYMBOLS.length],
});

report.isNarrow = (width) => width < 520;

// Room at the left for row names, at most a share of the width; longer names lose their middle.
const LETTER = 6.6;
report.nameRoom = (names, width) =>
  Math.min(Math.ceil(Math.max(...names.map((name) => name.length)) * LETTER) + 14, Math.round(width * 0.42));

report.fitted = (name, room) => {
  const most = Math.floor((room - 14) / LETTER);
  if (name.length <= most) return name;
  const tail = Math.floor((most - 1) * 0.6);
  return `${name.slice(0, most - 1 - tail)}…${name.slice(name.length - tail)}`;
};

// Rows are placed by position, as two of them may have the same name.
report.rowAxis = (names, room) => ({
  domain: names.map((_, position) => position),
  tickFormat: (position) => report.fitted(names[position], room),
  tickSize: 0,
  label: null,
});

report.style = { background: "none", fontSize: "12px", overflow: "visible" };

report.tip = (rows, channels) =>
  Plot.tip(rows, Plot.pointer({ ...channels, title: "tip", fill: "var(--surface)", stroke: "var(--line)", maxRadius: 40 }));

// Ticks of a logarithmic axis: powers of ten, every second one where there are many.
report.powers = (least, most) => {
  const [first, last] = [Math.floor(Math.log10(least)), Math.floor(Math.log10(most))];
  return d3.range(first, last + 1, last - first > 4 ? 2 : 1).map((exponent) => 10 ** exponent);
};
