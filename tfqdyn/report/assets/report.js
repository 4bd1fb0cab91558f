// The page's script: draws the charts (Vega), the layer table and the channel view from the data
// that Python wrote into #data. Text from results is only ever set as text, never as HTML.
"use strict";

const page = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const SHAPES = {
  circle: "M0-4A4 4 0 1 1 0 4A4 4 0 1 1 0-4", square: "M-4-4H4V4H-4Z", "triangle-up": "M0-4L4 4H-4Z",
  diamond: "M0-5L5 0L0 5L-5 0Z", cross: "M-2-5H2V-2H5V2H2V5H-2V2H-5V-2H-2Z",
  "triangle-down": "M0 4L4-4H-4Z", "triangle-right": "M4 0L-4 4V-4Z",
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

const everyPlace = page.runs.flatMap((run) => run.layers).filter((layer) => layer.number !== null).map((layer) => layer.place);
const WHOLE = [Math.min(...everyPlace) - 0.6, Math.max(...everyPlace) + 0.6];
const state = {
  hidden: new Set(), log: new Map(), domain: WHOLE, focus: null, ops: false,
  shown: "0", sort: null, descending: false, open: null, order: "range",
};

// ---- small things ----

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

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
  const shown = size >= 1e5 || size < 1e-3 ? value.toExponential(digits - 1)
    : size >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(digits)));
  return shown.replace(/-/g, "−").replace("e+", "e");
}

const spread = (figure) => (figure ? text(figure[0]) + (figure[1] === null ? "" : ` ± ${text(figure[1], 2)}`) : "–");
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

// ---- charts ----

function theme() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const [ink, muted, line, paper] = ["--ink", "--muted", "--line", "--paper"].map(colour);
  const font = "system-ui, -apple-system, 'Segoe UI', Roboto, Arial, sans-serif";
  return {
    ink, paper, stripe: colour("--stripe"),
    config: {
      background: paper,
      axis: { labelColor: muted, titleColor: muted, gridColor: line, domainColor: line, tickColor: line,
        labelFont: font, titleFont: font, labelFontSize: 11, titleFontSize: 11.5, titleFontWeight: "normal", gridOpacity: 0.75 },
      legend: { labelColor: ink, labelFont: font, labelFontSize: 11, titleColor: ink },
      title: { color: ink, font, fontSize: 14, anchor: "start", offset: 8 },
      text: { font },
    },
  };
}

// Ticks of a logarithmic axis: powers of ten, at most seven; 1, 2 and 5 of each where there are few.
function decades([low, high]) {
  const first = Math.floor(Math.log10(low));
  const last = Math.ceil(Math.log10(high));
  const every = Math.ceil((last - first) / 7);
  const powers = Array.from({ length: last - first + 1 }, (_, i) => first + i).filter((p) => p % every === 0);
  const parts = last - first > 2 ? [1] : [1, 2, 5];
  return powers.flatMap((power) => parts.map((part) => Number(`${part}e${power}`))).filter((v) => v >= low && v <= high);
}

// A Vega view of one of Python's specifications with these data, y domain and signals; without a
// node for a file of its own, which must say what its colours mean.
async function view(kind, { data, signals, log, y, x, lines, heading }, node) {
  const colours = theme();
  const spec = structuredClone(page.charts[kind]);
  spec.data.forEach((set) => (set.values = data[set.name] ?? []));
  const scale = spec.scales.find((s) => s.name === "y");
  scale.type = log ? "log" : "linear";
  if (y) scale.domain = y;
  if (log) [scale.nice, spec.axes[0].values] = [false, decades(y)];
  if (x) spec.axes[1].title = x;
  const values = { ...colours, ...signals };
  spec.signals.forEach((signal) => (signal.value = values[signal.name]));
  if (!node) {
    spec.title = heading;
    if (lines) {
      spec.scales.push({ name: "key", type: "ordinal", domain: lines.map((l) => l.label), range: lines.map((l) => l.colour) });
      spec.legends = [{ fill: "key", symbolType: "square", orient: "top", direction: "horizontal" }];
    }
  }
  spec.width = node ? node.clientWidth : 720;
  const tooltip = (_, event, __, value) => (value ? tip(event.clientX, event.clientY, [String(value)]) : hideTip());
  const options = { mode: "vega", renderer: "svg", actions: false, defaultStyle: false, hover: false, config: colours.config, tooltip };
  return (await vegaEmbed(node ?? element("div"), spec, options)).view;
}

function tip(x, y, parts) {
  const node = byId("tip");
  (byId("layer").open ? byId("layer") : document.body).append(node); // above a modal dialog
  node.replaceChildren(...parts);
  node.hidden = false;
  const { width, height } = node.getBoundingClientRect();
  node.style.left = `${Math.max(6, Math.min(x + 16, innerWidth - width - 6))}px`;
  node.style.top = `${y + 18 + height > innerHeight ? Math.max(6, y - height - 14) : y + 18}px`;
}

const hideTip = () => (byId("tip").hidden = true);

// One chart with its heading, its legend and its buttons; `describe` says what to draw now.
function panel(kind, heading, describe, { lines = [], canLog = true, rows }) {
  const chart = element("div", { class: "chart" });
  const made = { chart, describe, heading, canLog, view: null, hidden: new Set(), log: false };
  const logButton = element("button", { type: "button", class: "toggle", "aria-pressed": "false", "aria-label": `logarithmic axis: ${heading}`,
    onclick: () => { made.log = !made.log; redrawWith(made); } }, "log");
  const svgButton = element("button", { type: "button", "aria-label": `save as SVG: ${heading}`,
    onclick: async () => save(`${heading}.svg`, "image/svg+xml", await (await view(kind, describe(made))).toSVG()) }, "SVG");
  const csvButton = element("button", { type: "button", "aria-label": `save as CSV: ${heading}`,
    onclick: () => save(`${heading}.csv`, "text/csv", csv(rows(made))) }, "CSV");
  const legend = element("div", { class: "legend", role: "group", "aria-label": `Lines of ${heading}` });
  lines.forEach((line, i) => legend.append(element("button", { type: "button", class: "chip", "aria-pressed": "true",
    onclick: (event) => {
      const off = made.hidden.delete(line.metric) || !made.hidden.add(line.metric);
      event.currentTarget.setAttribute("aria-pressed", String(off));
      redrawWith(made);
    } }, swatch(line.colour, MARKERS[i]), line.label)));
  made.node = element("figure", { class: "panel" },
    element("figcaption", {}, element("h3", {}, heading), element("div", { class: "tools" }, ...(canLog ? [logButton] : []), svgButton, csvButton)),
    ...(lines.length ? [legend] : []), chart);
  made.draw = async () => {
    logButton.setAttribute("aria-pressed", String(made.log));
    const drawn = await view(kind, describe(made), chart);
    made.view?.finalize();
    made.view = drawn;
  };
  return made;
}

function redrawWith(made) {
  (made.group ?? [made]).forEach((one) => {
    if (made.group && made.shared) one.log = made.log;
    if (one === made || made.shared) one.draw();
  });
}

// ---- layer charts ----

const drawable = (layer) => (state.ops || layer.number !== null) && layer.place >= state.domain[0] && layer.place <= state.domain[1];
// A zoomed line goes on to its neighbours beyond the edge.
const near = (layer) => (state.ops || layer.number !== null) && layer.place >= state.domain[0] - 1.01 && layer.place <= state.domain[1] + 1.01;

function* pointsOf(made, kept) {
  for (const run of visible()) {
    for (const [i, line] of made.lines.entries()) {
      if (made.hidden.has(line.metric)) continue;
      for (const layer of run.layers) {
        const figure = layer.figures[line.metric];
        if (figure && kept(layer)) yield { run, line, i, layer, figure };
      }
    }
  }
}

const fits = (value, log) => Number.isFinite(value) && (!log || value > 0);

function yDomain(made) {
  const seen = [];
  for (const one of made.shared ? made.group : [made]) {
    for (const { figure } of pointsOf(one, drawable)) {
      const [mean, deviation] = figure;
      for (const value of [mean - (deviation ?? 0), mean, mean + (deviation ?? 0)]) if (fits(value, made.log)) seen.push(value);
    }
  }
  return around(seen, made);
}

// A y domain that holds these values, with room for marks; 0 too, unless they are decibels.
function around(values, { log, canLog }) {
  if (!values.length) return log ? [0.1, 1] : [0, 1];
  let [low, high] = [Math.min(...values), Math.max(...values)];
  if (log) low = Math.max(low, high / 1e8); // rounding errors of zero are no scale
  if (log) return [low / 1.3, high * 1.3 * (high / low) ** 0.06];
  if (canLog) [low, high] = [Math.min(0, low), Math.max(0, high)];
  const room = (high - low) * 0.03 || 1;
  return [low < 0 || !canLog ? low - room : low, high + room];
}

function describeLayers(made) {
  const y = yDomain(made);
  const several = page.runs.length > 1;
  const points = [...pointsOf(made, near)].map(({ run, line, i, layer, figure: [mean, deviation] }) => {
    const fit = fits(mean, made.log);
    return {
      line: `${run.index} ${line.metric}`, x: layer.place, y: fit ? mean : null,
      low: fit ? Math.max(mean - (deviation ?? 0), made.log ? Math.min(mean, y[0]) : -Infinity) : null, high: fit ? mean + (deviation ?? 0) : null,
      colour: line.colour || run.colour,
      marker: several ? run.marker : MARKERS[i],
      text: `${run.name}, layer ${title(layer)}: ${line.label} ${text(mean)}`,
    };
  });
  const stripes = striped() ? visible()[0].layers.filter((l) => l.kind === "depthwise" && near(l)).map((l) => ({ x: l.place })) : [];
  const key = several ? visible().map((run) => ({ label: run.name, colour: run.colour }))
    : made.lines.filter((l) => !made.hidden.has(l.metric)).map((l) => ({ label: l.label, colour: l.colour || page.runs[0].colour }));
  return { data: { points, stripes }, signals: { domain: state.domain, focus: state.focus }, log: made.log, y, lines: key, heading: made.heading };
}

// Depthwise layers are shaded where all runs shown have them at the same numbers.
function striped() {
  const plans = visible().map((run) => run.layers.filter((l) => l.kind === "depthwise").map((l) => l.number).join());
  return plans.length > 0 && plans[0] !== "" && plans.every((plan) => plan === plans[0]);
}

const charts = [];

function buildCharts() {
  for (const group of page.groups) {
    const grid = element("div", { class: group.panels.length % 3 ? "group two" : "group" });
    const built = group.panels.map((plan) => {
      const lines = plan.lines.length > 1 ? plan.lines : [];
      const made = panel("layerwise", plan.title, describeLayers, { lines, canLog: plan.can_log, rows: rowsOf });
      return Object.assign(made, { lines: plan.lines, log: plan.log, shared: group.shared });
    });
    built.forEach((made) => { made.group = built; listen(made); });
    charts.push(...built);
    grid.append(...built.map((made) => made.node));
    byId("panels").append(element("div", { class: "heading" }, element("h3", {}, group.title), element("p", { class: "note" }, group.note)), grid);
  }
}

function rowsOf(made) {
  const rows = [...pointsOf(made, drawable)].map(({ run, line, layer, figure }) =>
    [run.name, line.label, layer.number, layer.name, layer.kind, layer.shape, figure[0], figure[1]]);
  return [["run", "figure", "number", "layer", "kind", "shape", "mean", "std"], ...rows];
}

function drawCharts() {
  byId("striped").hidden = !striped();
  byId("reset").disabled = state.domain === WHOLE;
  byId("from").value = Math.ceil(state.domain[0]);
  byId("to").value = Math.floor(state.domain[1]);
  charts.forEach((made) => made.draw());
}

function zoom(low, high) {
  const [first, last] = [Math.max(low, WHOLE[0]), Math.min(high, WHOLE[1])];
  if (last - first < 0.5) return;
  state.domain = first <= WHOLE[0] && last >= WHOLE[1] ? WHOLE : [first, last];
  drawCharts();
}

function places(made) {
  return [...new Set([...pointsOf(made, drawable)].map(({ layer }) => layer.place))].sort((a, b) => a - b);
}

function focus(place) {
  if (place === state.focus) return;
  state.focus = place;
  charts.forEach((made) => made.view?.signal("focus", place).runAsync());
}

function showLayer(made, place, x, y) {
  focus(place);
  const found = [...pointsOf(made, drawable)].filter(({ layer }) => layer.place === place);
  if (!found.length) return;
  const parts = [];
  let last = null;
  for (const { run, line, i, layer, figure } of found) {
    const head = `${title(layer)}\u2003${layer.kind} ${layer.shape}`;
    if (head !== last) parts.push(element("b", {}, (last = head)));
    const several = page.runs.length > 1;
    const label = several ? run.name : line.label;
    parts.push(element("div", { class: "row" }, swatch(line.colour || run.colour, several ? run.marker : MARKERS[i]),
      element("span", {}, label), element("span", {}, spread(figure))));
  }
  tip(x, y, parts);
}

function listen(made) {
  const { chart } = made;
  let start = null;
  const brush = element("div", { class: "brush", hidden: "" });
  const left = (event) => event.clientX - chart.getBoundingClientRect().left - made.view.origin()[0];
  const value = (pixel) => made.view.scale("x").invert(Math.max(0, Math.min(pixel, made.view.signal("width"))));
  const nearest = (at) => places(made).reduce((best, p) => (best === null || Math.abs(p - at) < Math.abs(best - at) ? p : best), null);
  Object.entries({ tabindex: "0", role: "group", "aria-label": `${made.heading}, chart; arrow keys walk the layers, Enter opens one` })
    .forEach(([name, setting]) => chart.setAttribute(name, setting));

  chart.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    start = left(event);
    chart.setPointerCapture(event.pointerId);
  });
  chart.addEventListener("pointermove", (event) => {
    if (start !== null && Math.abs(left(event) - start) > 6) {
      const edges = [start, left(event)].map((p) => made.view.origin()[0] + Math.max(0, Math.min(p, made.view.signal("width"))));
      chart.append(brush);
      brush.hidden = false;
      brush.style.left = `${Math.min(...edges)}px`;
      brush.style.width = `${Math.abs(edges[1] - edges[0])}px`;
      hideTip();
    } else {
      const place = nearest(value(left(event)));
      if (place !== null) showLayer(made, place, event.clientX, event.clientY);
    }
  });
  chart.addEventListener("pointerup", (event) => {
    if (start === null) return;
    const [from, to] = [start, left(event)].map(value).sort((a, b) => a - b);
    const dragged = Math.abs(left(event) - start) > 6;
    start = null;
    brush.hidden = true;
    if (dragged) zoom(from, to);
    else openNearest(made, nearest(to), event.clientY - chart.getBoundingClientRect().top - made.view.origin()[1]);
  });
  chart.addEventListener("pointercancel", () => { start = null; brush.hidden = true; });
  chart.addEventListener("pointerleave", () => { if (start === null) { focus(null); hideTip(); } });
  chart.addEventListener("blur", () => { focus(null); hideTip(); });
  chart.addEventListener("keydown", (event) => {
    const all = places(made);
    const at = all.indexOf(state.focus);
    const [low, high] = state.domain;
    const middle = state.focus ?? (low + high) / 2;
    const moves = { ArrowRight: Math.min(at + 1, all.length - 1), ArrowLeft: at < 0 ? all.length - 1 : Math.max(at - 1, 0), Home: 0, End: all.length - 1 };
    if (event.key in moves && all.length) {
      const { left: x, top } = chart.getBoundingClientRect();
      showLayer(made, all[moves[event.key]], x + made.view.origin()[0] + made.view.scale("x")(all[moves[event.key]]), top + 40);
    } else if (event.key === "Enter" && at >= 0) openNearest(made, state.focus, 0);
    else if (event.key === "+" || event.key === "=") zoom(middle - (high - low) / 4, middle + (high - low) / 4);
    else if (event.key === "-") zoom(middle - (high - low), middle + (high - low));
    else if (event.key === "0") zoom(...WHOLE);
    else return;
    event.preventDefault();
  });
}

// Opens the layer at a place, of the run whose line is closest to the pointer.
function openNearest(made, place, pixel) {
  const scale = made.view.scale("y");
  const distance = ({ figure }) => (fits(figure[0], made.log) ? Math.abs(scale(figure[0]) - pixel) : Infinity);
  const [found] = [...pointsOf(made, drawable)].filter(({ layer }) => layer.place === place).sort((a, b) => distance(a) - distance(b));
  if (found) openLayer(found.run, found.layer);
}

// ---- layer table ----

const text3 = (figure) => (figure ? text(figure[0]) : "–");

// Columns of the table: heading, class, how to sort by it, and how to show it.
function columns() {
  const plain = [
    { heading: "no.", kind: "num", sort: (row) => row.layer.number ?? Infinity, show: (row) => row.layer.number ?? "" },
    { heading: "layer", kind: "", sort: (row) => row.layer.name, show: (row) => element("button", { type: "button", class: "link", onclick: (event) => { event.stopPropagation(); openLayer(row.run, row.layer); } }, row.layer.name), csv: (row) => row.layer.name },
    { heading: "kind", kind: "", sort: (row) => row.layer.kind, show: (row) => row.layer.kind },
  ];
  const numeric = (heading, of) => ({ heading, kind: "num", sort: (row) => of(row)?.[0] ?? null, show: (row) => text3(of(row)), csv: (row) => of(row)?.[0], title: (row) => spread(of(row)) });
  if (state.shown in page.columns) {
    const [first, ...others] = page.runs;
    const figure = (run) => (row) => run.byName.get(row.layer.name)?.figures[state.shown];
    const change = (run) => (row) => {
      const [a, b] = [figure(first)(row), figure(run)(row)];
      return a && b ? [a[0] === b[0] ? 0 : b[0] - a[0], null] : undefined;
    };
    return [...plain, numeric(first.name, figure(first)),
      ...others.flatMap((run) => [numeric(run.name, figure(run)), numeric(`difference, ${run.name}`, change(run))])];
  }
  const run = page.runs[Number(state.shown)];
  const has = (name) => run.layers.some((layer) => layer.figures[name]);
  return [...plain, { heading: "shape", kind: "shape", sort: (row) => row.layer.macs, show: (row) => row.layer.shape },
    ...Object.entries(page.columns).filter(([name]) => has(name)).map(([name, heading]) => numeric(heading, (row) => row.layer.figures[name]))];
}

function tableRows(shown) {
  const comparing = state.shown in page.columns;
  const runs = comparing ? page.runs : [page.runs[Number(state.shown)]];
  const seen = new Set();
  const rows = runs.flatMap((run) => run.layers.map((layer) => ({ run, layer })))
    .filter(({ layer }) => !seen.has(layer.name) && seen.add(layer.name));
  const wanted = byId("filter").value.trim().toLowerCase();
  const kind = byId("kind").value;
  const kept = rows.filter(({ layer }) => (!kind || layer.kind === kind) &&
    (!wanted || layer.name.toLowerCase().includes(wanted) || String(layer.number) === wanted));
  const by = shown.find((column) => column.heading === state.sort);
  if (by) {
    const way = state.descending ? -1 : 1;
    kept.sort((a, b) => {
      const [x, y] = [by.sort(a), by.sort(b)];
      if (x === null || y === null) return (x === null) - (y === null); // what is missing comes last
      return way * (x < y ? -1 : x > y ? 1 : 0);
    });
  }
  return [kept, rows.length];
}

function drawTable() {
  const shown = columns();
  const [rows, all] = tableRows(shown);
  byId("count").textContent = `${rows.length} of ${all} layers`;
  byId("table").tHead.replaceChildren(element("tr", {}, ...shown.map((column) => {
    const sorted = column.heading === state.sort;
    return element("th", { scope: "col", class: column.kind, "aria-sort": sorted ? (state.descending ? "descending" : "ascending") : "none" },
      element("button", { type: "button", onclick: () => sortBy(column.heading) }, column.heading));
  })));
  const shares = new Map(shown.filter((c) => c.title).map((column) => [column, barsOf(rows.map(column.sort))]));
  byId("table").tBodies[0].replaceChildren(...rows.map((row, i) => element("tr", { onclick: () => openLayer(row.run, row.layer) },
    ...shown.map((column) => element("td", { class: column.kind, title: column.title ? column.title(row) : null,
      style: shares.has(column) ? `--share: ${shares.get(column)[i]}%` : null }, column.show(row))))));
}

// Lengths in percent of the bars behind a column: logarithmic where values span decades.
function barsOf(values) {
  const sizes = values.map((value) => (Number.isFinite(value) && value !== null ? Math.abs(value) : 0));
  const most = Math.max(...sizes, 0);
  const least = Math.min(...sizes.filter((size) => size > 0), most);
  if (!most) return sizes.map(() => 0);
  const decades = Math.log10(most / least);
  return sizes.map((size) => Math.round(!size ? 0 : decades > 2 ? 4 + 96 * (1 - Math.log10(most / size) / decades) : (100 * size) / most));
}

function sortBy(heading) {
  if (state.sort !== heading) [state.sort, state.descending] = [heading, false];
  else if (!state.descending) state.descending = true;
  else state.sort = null; // the third press gives the graph's order back
  drawTable();
  [...byId("table").tHead.querySelectorAll("button")].find((button) => button.textContent === heading)?.focus({ preventScroll: true });
}

function saveTable() {
  const shown = columns();
  const rows = tableRows(shown)[0].map((row) => shown.map((column) => (column.csv ?? column.show)(row)));
  save("layers.csv", "text/csv", csv([shown.map((column) => column.heading), ...rows]));
}

function buildTable() {
  const kinds = [...new Set(page.runs.flatMap((run) => run.layers.map((layer) => layer.kind)))].sort();
  byId("kind").append(element("option", { value: "" }, "all"), ...kinds.map((kind) => element("option", { value: kind }, kind)));
  const perRun = page.runs.map((run) => element("option", { value: run.index }, run.name));
  byId("shown").append(element("optgroup", { label: "all figures of" }, ...perRun));
  byId("shown-label").hidden = page.runs.length === 1;
  byId("shown").append(element("optgroup", { label: "differences between the runs by" },
    ...Object.entries(page.columns).map(([name, heading]) => element("option", { value: name }, heading))));
  byId("shown").onchange = (event) => { [state.shown, state.sort] = [event.target.value, null]; drawTable(); };
  byId("filter").oninput = drawTable;
  byId("kind").onchange = drawTable;
  byId("table-csv").onclick = saveTable;
}

// ---- channels of one layer ----

const open = () => ({ run: state.open.run, layer: state.open.layer, channels: state.open.layer.channels });

// The other runs' layers of that name, where they have as many channels, and this one's.
const twins = () => visible().concat(visible().includes(open().run) ? [] : [open().run])
  .map((run) => ({ run, layer: run.byName.get(open().layer.name) }))
  .filter(({ layer }) => layer && layer.channels.sqnr.length === open().channels.sqnr.length);

function order() {
  const { channels } = open();
  const by = channels.range ?? channels.activations;
  const indices = by.map((_, i) => i);
  return state.order === "range" ? indices.sort((a, b) => by[b] - by[a]) : indices;
}

function describeChannels(name, levels, unit = "") {
  return (made) => {
    const places = order();
    const bars = [];
    const points = [];
    const { run, channels } = open();
    const asBars = name === "range" && channels.low && !made.log;
    for (const twin of asBars ? [] : twins()) {
      places.forEach((channel, x) => {
        const value = twin.layer.channels[name]?.[channel];
        if (fits(value, made.log)) points.push({ x, y: value, colour: twin.run.colour, marker: twin.run.marker,
          text: `channel ${channel}: ${text(value)}${unit} (${twin.run.name})` });
      });
    }
    if (asBars) places.forEach((channel, x) => {
      const [low, high] = [channels.low[channel], channels.low[channel] + channels.range[channel]];
      bars.push({ x, low, high, colour: run.colour, text: `channel ${channel}: ${text(low)} to ${text(high)}` });
    });
    const given = levels(asBars).filter((level) => fits(level.y, made.log));
    const y = around([...points, ...given].map((mark) => mark.y).concat(bars.flatMap((bar) => [bar.low, bar.high])), made);
    return { data: { points, bars, levels: given }, signals: { domain: [-0.5, places.length - 0.5] }, log: made.log, y,
      x: state.order === "range" ? "channels, widest first" : "channel", heading: `${open().layer.name}: ${made.heading}`,
      lines: (asBars ? [{ run }] : twins()).map((twin) => ({ label: twin.run.name, colour: twin.run.colour })) };
  };
}

function gridOf({ grid }) {
  return grid && { low: -grid[0] * grid[1], high: grid[0] * (255 - grid[1]) };
}

function weightLevels(asBars) {
  const { layer, channels } = open();
  const range = layer.figures.range_folded[0];
  if (!asBars) return [{ y: range, label: "the tensor's range" }, { y: range / 255, label: "one step of its grid", left: true }];
  const low = Math.min(...channels.low);
  return [{ y: low, label: "" }, { y: low + range, label: "the tensor's range" }];
}

function activationLevels() {
  const range = open().layer.figures.range_activations[0];
  return [{ y: range, label: "the tensor's range" }, { y: range / 255, label: "one step of its grid", left: true }];
}

function describeHistogram(made) {
  const { run, layer } = open();
  const { low, high, fp32, quantized } = layer.histogram;
  const sums = [fp32, quantized].map((counts) => counts.reduce((a, b) => a + b, 0));
  const width = (high - low) / fp32.length;
  const positive = [fp32, quantized].flatMap((counts, i) => counts.filter((c) => c > 0).map((c) => c / sums[i]));
  const least = Math.max(Math.min(...positive) / 2, Math.max(...positive) / 1e6);
  const share = (count, sum) => (made.log ? Math.max(count / sum, least) : count / sum);
  const bins = fp32.map((count, i) => ({ x0: low + i * width, x1: low + (i + 1) * width,
    text: `${text(low + i * width)} to ${text(low + (i + 1) * width)}\nfp32 ${text((100 * count) / sums[0])} %\ndequantized ${text((100 * quantized[i]) / sums[1])} %` }));
  const outline = (counts, sum) => [...counts, counts.at(-1)].map((count, i) => ({ x: low + i * width, y: share(count, sum) }));
  const [filled, steps] = [outline(fp32, sums[0]), outline(quantized, sums[1])];
  const ends = gridOf(layer);
  const codes = layer.grid ? Array.from({ length: 256 }, (_, k) => ({ x: layer.grid[0] * (k - layer.grid[1]) })) : [];
  const beyond = ends ? [{ x0: low, x1: Math.min(ends.low, high) }, { x0: Math.max(ends.high, low), x1: high }].filter((b) => b.x1 - b.x0 > width / 100) : [];
  const most = Math.max(...filled.map((bin) => bin.y), ...steps.map((step) => step.y));
  return { data: { bins, filled, steps, codes, beyond }, signals: { domain: [low, high], colour: run.colour }, log: made.log,
    y: made.log ? [least, Math.min(1, most * 1.5)] : [0, most], heading: `${layer.name}: ${made.heading}`,
    lines: [{ label: "fp32", colour: theme().ink }, { label: "dequantized", colour: run.colour }] };
}

function facts() {
  const { layer, channels } = open();
  const { figures } = layer;
  const found = [];
  if (channels.range) {
    const range = figures.range_folded[0];
    const lost = channels.range.filter((r) => r < range / 255).length;
    const sorted = [...channels.range].sort((a, b) => a - b);
    found.push(`Folded weights span ${text(range)}, so one of 255 steps is ${text(range / 255)}; the median channel spans ${text(sorted[sorted.length >> 1])}, ` +
      `${text((255 * sorted[sorted.length >> 1]) / range)} steps. ${lost} of ${sorted.length} channels span less than one step.`);
  }
  found.push(`Activations span ${spread(figures.range_activations)}; SQNR ${spread(figures.sqnr)} dB${figures.own_sqnr ? `, own ${spread(figures.own_sqnr)} dB` : ""}; ` +
    `${text(100 * figures.clipped[0])} % of the values lie beyond the grid${layer.grid ? `, whose step is ${text(layer.grid[0])} and zero point ${layer.grid[1]}` : " (this layer runs in fp32)"}.`);
  return found.concat(layer.flags);
}

function openLayer(run, layer) {
  state.open = { run, layer, charts: [] };
  byId("layer-title").replaceChildren(title(layer), element("small", { class: "note" }, `\u2003${layer.kind}, ${layer.shape}`));
  byId("layer-facts").replaceChildren(...facts().map((fact) => element("p", {}, fact)));
  const having = page.runs.filter((other) => other.byName.has(layer.name));
  byId("layer-runs").hidden = having.length < 2;
  byId("layer-runs").replaceChildren(...having.map((other) => element("button", { type: "button", class: "chip choice", "aria-pressed": String(other === run),
    onclick: () => openLayer(other, other.byName.get(layer.name)) }, swatch(other.colour, other.marker), other.name)));
  const at = run.layers.indexOf(layer);
  byId("previous").disabled = at === 0;
  byId("next").disabled = at === run.layers.length - 1;

  const table = (name) => () => [["run", "channel", name], ...twins().flatMap((twin) => (twin.layer.channels[name] ?? []).map((value, i) => [twin.run.name, i, value]))];
  const built = [];
  const channels = layer.channels;
  if (channels.range) built.push([panel("channels", "Folded weights: range of every channel", describeChannels("range", weightLevels), { rows: table("range") }), true]);
  built.push([panel("channels", "SQNR of every channel, in dB", describeChannels("sqnr", () => [], " dB"), { canLog: false, rows: table("sqnr") }), false]);
  built.push([panel("channels", "Activations: range of every channel", describeChannels("activations", activationLevels), { rows: table("activations") }), true]);
  if (layer.histogram) {
    const rows = () => [["from", "to", "fp32", "dequantized"], ...layer.histogram.fp32.map((count, i) => {
      const width = (layer.histogram.high - layer.histogram.low) / layer.histogram.fp32.length;
      return [layer.histogram.low + i * width, layer.histogram.low + (i + 1) * width, count, layer.histogram.quantized[i]];
    })];
    const made = panel("histogram", "Histograms: fp32 (grey) and dequantized (line)", describeHistogram, { rows });
    built.push([made, true]);
  }
  byId("layer-charts").replaceChildren(...built.map(([made]) => { made.node.classList.add("channels"); return made.node; }));
  if (!layer.histogram) byId("layer-charts").append(element("p", { class: "note" }, "This run kept no histograms: it was made by an earlier version."));
  if (!byId("layer").open) byId("layer").showModal();
  hideTip();
  built.forEach(([made, log]) => { made.log = log; made.draw(); });
  state.open.charts = built.map(([made]) => made);
}

function step(by) {
  const { run, layer } = open();
  const next = run.layers[run.layers.indexOf(layer) + by];
  if (next) openLayer(run, next);
}

// ---- the page ----

function redraw() {
  drawCharts();
  if (byId("layer").open) state.open.charts.forEach((made) => made.draw());
}

function setTheme(name) {
  document.documentElement.dataset.theme = name;
  byId("theme").textContent = name === "dark" ? "Light" : "Dark";
  byId("theme").setAttribute("aria-label", name === "dark" ? "light colours" : "dark colours");
  redraw();
}

function start() {
  page.runs.forEach((run) => byId("runs").append(element("button", { type: "button", class: "chip", "aria-pressed": "true",
    onclick: (event) => {
      const on = state.hidden.delete(run.index) || !state.hidden.add(run.index);
      event.currentTarget.setAttribute("aria-pressed", String(on));
      drawCharts();
    } }, swatch(run.colour, run.marker), run.name)));
  byId("runs").hidden = page.runs.length === 1;
  buildCharts();
  buildTable();
  drawTable();
  setTheme(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");

  byId("theme").onclick = () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  byId("print").onclick = () => print();
  byId("reset").onclick = () => zoom(...WHOLE);
  byId("ops").onchange = (event) => { state.ops = event.target.checked; drawCharts(); };
  for (const id of ["from", "to"]) byId(id).onchange = () => zoom(byId("from").valueAsNumber - 0.6, byId("to").valueAsNumber + 0.6);
  byId("close").onclick = () => byId("layer").close();
  byId("order").onchange = (event) => {
    state.order = event.target.checked ? "range" : "channel";
    state.open.charts.forEach((made) => made.draw());
  };
  byId("previous").onclick = () => step(-1);
  byId("next").onclick = () => step(1);
  byId("layer").addEventListener("close", hideTip);
  byId("layer").addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  document.querySelectorAll("[data-layer]").forEach((button) => (button.onclick = () => {
    const run = page.runs[button.dataset.run];
    openLayer(run, run.byName.get(button.dataset.layer));
  }));
  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; redraw(); } });
  let before;
  addEventListener("beforeprint", () => { before = document.documentElement.dataset.theme; setTheme("light"); });
  addEventListener("afterprint", () => setTheme(before));
}

start();
