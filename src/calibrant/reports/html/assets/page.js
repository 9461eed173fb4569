"use strict";

const plotData = JSON.parse(document.getElementById("plot-data").textContent);

function draw(figure) {
  const { kind, ...data } = plotData[figure.dataset.plot];
  const width = Math.floor(figure.clientWidth);
  if (width === 0 || figure.dataset.width === String(width)) return;
  figure.dataset.width = width;
  figure.replaceChildren(report.plots[kind](data, width));
  // The words beside the plot say the same; readers are given those instead of every tick.
  for (const svg of figure.querySelectorAll("svg")) svg.setAttribute("aria-hidden", "true");
}

const resized = new ResizeObserver((entries) => entries.forEach((entry) => draw(entry.target)));
for (const figure of document.querySelectorAll("[data-plot]")) {
  draw(figure);
  resized.observe(figure);
}

// Light, dark, or as the system says; kept for the next time where the browser keeps anything.
const THEMES = ["auto", "light", "dark"];
const themeButton = document.getElementById("theme");

function useTheme(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  themeButton.textContent = `Colours: ${theme}`;
  themeButton.dataset.theme = theme;
}

function kept(theme) {
  try {
    if (theme !== undefined) localStorage.setItem("calibrant-theme", theme);
    return localStorage.getItem("calibrant-theme");
  } catch {
    return null;
  }
}

themeButton.hidden = false;
useTheme(THEMES.includes(kept()) ? kept() : "auto");
themeButton.addEventListener("click", () => {
  const next = THEMES[(THEMES.indexOf(themeButton.dataset.theme) + 1) % THEMES.length];
  useTheme(next);
  kept(next);
});

// A click on a column's title sorts by it, a second one the other way round; what has no value comes last.
function sortBy(table, column, header) {
  const isDown = header.getAttribute("aria-sort") === "descending";
  const direction = isDown ? 1 : -1;
  for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", isDown ? "ascending" : "descending");
  const rows = [...table.tBodies[0].rows];
  rows.sort((a, b) => direction * compared(a.cells[column], b.cells[column], direction));
  table.tBodies[0].append(...rows);
}

function compared(a, b, direction) {
  const [left, right] = [a.dataset.value, b.dataset.value];
  if (left !== undefined && right !== undefined) return Number(left) - Number(right);
  if (left !== undefined) return -direction;
  if (right !== undefined) return direction;
  return b.textContent.localeCompare(a.textContent);
}

for (const button of document.querySelectorAll("th > button")) {
  const header = button.parentElement;
  button.addEventListener("click", () => sortBy(header.closest("table"), header.cellIndex, header));
}

// A table of several candidates shows one at a time, and those rows that hold the words looked for.
for (const controls of document.querySelectorAll(".table-controls")) {
  const table = document.getElementById(controls.dataset.table);
  const [group, words] = [controls.querySelector("select"), controls.querySelector("input")];
  const filter = () => {
    const looked = words.value.trim().toLowerCase();
    for (const row of table.tBodies[0].rows) {
      const isInGroup = group.value === "" || row.dataset.group === group.value;
      row.hidden = !(isInGroup && row.textContent.toLowerCase().includes(looked));
    }
  };
  controls.hidden = false;
  group.addEventListener("change", filter);
  words.addEventListener("input", filter);
  filter();
}

for (const button of document.querySelectorAll("button[data-copy]")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.previousElementSibling.textContent);
    button.textContent = "copied";
  });
}
