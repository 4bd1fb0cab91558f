// The page's script begins here and goes on in chart.js, layerwise.js, table.js, channels.js and
// start.js, which Python puts into one script element. The data are what Python wrote into #data;
// text from results is only ever set as text, never as HTML. Here: data, state, and small things.
"use strict";

const page = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const SHAPES = {
  circle: "M0-4A4 4 0 1 1 0 4A4 4 0 1 1 0-4",
  square: "M-4-4H4V4H-4Z",
  "triangle-up": "M0-4L4 4H-4Z",
  diamond: "M0-5L5 0L0 5L-5 0Z",
  cross: "M-2-5H2V-2H5V2H2V5H-2V2H-5V-2H-2Z",
  "triangle-down": "M0 4L4-4H-4Z",
  "triangle-right": "M4 0L-4 4V-4Z",
};
const MARKERS = Object.keys(SHAPES);

const number = (value) => (value === "inf" ? Infinity : value === "-inf" ? -Infinity : value);
page.runs.forEach((run, index) => {
  run.index = index;
  run.byName = new Map(run.layers.map((layer) => [layer.name, layer]));
  run.layers.forEach((layer) => {
    for (const figure of Object.values(layer.figures)) figure[0] = number(figure[0]);
    for (const values of Object.values(layer.channels)) values.forEach((v, i) => (values[i] = number(v)));
  });
});

const state = {
  hidden: new Set(),
  domain: null, // first and last place shown, null for all
  focus: null,
  ops: false,
  shown: "0",
  sort: null,
  descending: false,
  open: null,
  order: "range",
};

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

// A name that may be broken behind its underscores and slashes.
const breakable = (name) =>
  name.split(/(?<=[_/])/).flatMap((part, i) => (i ? [element("wbr"), part] : [part]));

function swatch(colour, marker) {
  const svg = document.createElementNS(SVG, "svg");
  const shape = document.createElementNS(SVG, "path");
  svg.setAttribute("width", 12);
  svg.setAttribute("height", 12);
  svg.setAttribute("viewBox", "-6 -6 12 12");
  svg.setAttribute("aria-hidden", "true");
  shape.setAttribute("d", SHAPES[marker]);
  shape.setAttribute("fill", colour);
  svg.append(shape);
  return svg;
}

function text(value, digits = 3) {
  if (value === undefined || value === null) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (value === 0) return "0";
  const size = Math.abs(value);
  const shown =
    size >= 1e5 || size < 1e-3
      ? value.toExponential(digits - 1)
      : size >= 1000
        ? value.toFixed(0)
        : String(Number(value.toPrecision(digits)));
  return shown.replace(/-/g, "−").replace("e+", "e");
}

const spread = (figure) =>
  figure ? text(figure[0]) + (figure[1] === null ? "" : ` ± ${text(figure[1], 2)}`) : "–";
const title = (layer) => (layer.number === null ? layer.name : `${layer.number} · ${layer.name}`);
const visible = () => page.runs.filter((run) => !state.hidden.has(run.index));

function save(name, type, content) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  element("a", { href: url, download: name.replace(/[^\w.-]+/g, "_") }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

function csv(rows) {
  const cell = (value) => (/[",\n\r]/.test(value) ? `"${value.replace(/"/g, '""')}"` : value);
  return rows.map((row) => row.map((v) => cell(String(v ?? ""))).join(",")).join("\r\n") + "\r\n";
}

// The places of all layers with a little room, without and with ops that have no kernel.
const EXTENTS = [false, true].map((ops) => {
  const shown = page.runs.flatMap((run) => run.layers).filter((layer) => ops || layer.number !== null);
  const places = shown.map((layer) => layer.place);
  return [Math.min(1, ...places) - 0.6, Math.max(1, ...places) + 0.6];
});

// The places that the charts show.
const domain = () => state.domain ?? EXTENTS[Number(state.ops)];
