// The layerwise charts: what they draw, and how pointer and keyboard walk, zoom and open layers.

const drawable = (layer) =>
  (state.ops || layer.number !== null) && layer.place >= domain()[0] && layer.place <= domain()[1];
// A zoomed line goes on to its neighbours beyond the edge.
const near = (layer) =>
  (state.ops || layer.number !== null) &&
  layer.place >= domain()[0] - 1.01 &&
  layer.place <= domain()[1] + 1.01;

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
      for (const value of [mean - (deviation ?? 0), mean, mean + (deviation ?? 0)])
        if (fits(value, made.log)) seen.push(value);
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
      line: `${run.index} ${line.metric}`,
      x: layer.place,
      y: fit ? mean : null,
      low: fit ? Math.max(mean - (deviation ?? 0), made.log ? Math.min(mean, y[0]) : -Infinity) : null,
      high: fit ? mean + (deviation ?? 0) : null,
      colour: line.colour || run.colour,
      marker: several ? run.marker : MARKERS[i],
      text: `${run.name}, layer ${title(layer)}: ${line.label} ${text(mean)}`,
    };
  });
  const stripes = striped()
    ? visible()[0]
        .layers.filter((l) => l.kind === "depthwise" && near(l))
        .map((l) => ({ x: l.place }))
    : [];
  const key = several
    ? visible().map((run) => ({ label: run.name, colour: run.colour }))
    : made.lines
        .filter((l) => !made.hidden.has(l.metric))
        .map((l) => ({ label: l.label, colour: l.colour || page.runs[0].colour }));
  return {
    data: { points, stripes },
    signals: { domain: domain(), focus: state.focus },
    log: made.log,
    y,
    lines: key,
    heading: made.heading,
  };
}

// Depthwise layers are shaded where all runs shown have them at the same numbers.
function striped() {
  const plans = visible().map((run) =>
    run.layers
      .filter((l) => l.kind === "depthwise")
      .map((l) => l.number)
      .join(),
  );
  return plans.length > 0 && plans[0] !== "" && plans.every((plan) => plan === plans[0]);
}

const charts = [];

function buildCharts() {
  for (const group of page.groups) {
    const grid = element("div", { class: group.panels.length % 3 ? "group two" : "group" });
    const built = group.panels.map((plan) => {
      const lines = plan.lines.length > 1 ? plan.lines : [];
      const made = panel("layerwise", plan.title, describeLayers, {
        lines,
        canLog: plan.can_log,
        rows: rowsOf,
      });
      const inWordsNow = () => inWords(made);
      return Object.assign(made, {
        lines: plan.lines,
        log: plan.log,
        shared: group.shared,
        inWords: inWordsNow,
      });
    });
    built.forEach((made) => {
      made.group = built;
      listen(made);
    });
    charts.push(...built);
    grid.append(...built.map((made) => made.node));
    byId("panels").append(
      element(
        "div",
        { class: "heading" },
        element("h3", {}, group.title),
        element("p", { class: "note" }, group.note),
      ),
      grid,
    );
  }
}

// What a chart shows, in words: each line's ends, lowest and highest value, and where they are.
function inWords(made) {
  const lines = new Map();
  for (const { run, line, layer, figure } of pointsOf(made, drawable)) {
    const key = page.runs.length > 1 ? run.name : line.label;
    lines.set(key, [...(lines.get(key) ?? []), { layer, value: figure[0] }]);
  }
  const told = [...lines].map(([name, points]) => {
    const sorted = points.toSorted((a, b) => a.value - b.value);
    const at = ({ layer, value }) => `${text(value)} at ${title(layer)}`;
    return `${name}: ${points.length} layers, lowest ${at(sorted[0])}, highest ${at(sorted.at(-1))}`;
  });
  return `${made.heading}. ${told.join(". ") || "No values"}. The layer table has every value.`;
}

function rowsOf(made) {
  const rows = [...pointsOf(made, drawable)].map(({ run, line, layer, figure }) => [
    run.name,
    line.label,
    layer.number,
    layer.name,
    layer.kind,
    layer.shape,
    figure[0],
    figure[1],
  ]);
  return [["run", "figure", "number", "layer", "kind", "shape", "mean", "std"], ...rows];
}

function drawCharts() {
  byId("striped").hidden = !striped();
  byId("reset").disabled = state.domain === null;
  byId("from").value = Math.ceil(domain()[0]);
  byId("to").value = Math.floor(domain()[1]);
  charts.forEach((made) => made.draw());
}

function zoom(low, high) {
  const [first, last] = EXTENTS[Number(state.ops)];
  const wanted = [Math.max(low, first), Math.min(high, last)];
  if (wanted[1] - wanted[0] < 0.5) return;
  state.domain = wanted[0] > first || wanted[1] < last ? wanted : null;
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
    parts.push(
      element(
        "div",
        { class: "row" },
        swatch(line.colour || run.colour, several ? run.marker : MARKERS[i]),
        element("span", {}, label),
        element("span", {}, spread(figure)),
      ),
    );
  }
  tip(x, y, parts);
}

function listen(made) {
  const { chart } = made;
  let start = null;
  const brush = element("div", { class: "brush", hidden: "" });
  const left = (event) => event.clientX - chart.getBoundingClientRect().left - made.view.origin()[0];
  const value = (pixel) =>
    made.view.scale("x").invert(Math.max(0, Math.min(pixel, made.view.signal("width"))));
  const nearest = (at) =>
    places(made).reduce(
      (best, p) => (best === null || Math.abs(p - at) < Math.abs(best - at) ? p : best),
      null,
    );
  Object.entries({
    tabindex: "0",
    role: "group",
    "aria-description": "arrow keys walk the layers, Enter opens one",
  }).forEach(([name, setting]) => chart.setAttribute(name, setting));

  chart.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    start = left(event);
    chart.setPointerCapture(event.pointerId);
  });
  chart.addEventListener("pointermove", (event) => {
    if (start !== null && Math.abs(left(event) - start) > 6) {
      const edges = [start, left(event)].map(
        (p) => made.view.origin()[0] + Math.max(0, Math.min(p, made.view.signal("width"))),
      );
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
    else
      openNearest(
        made,
        nearest(to),
        event.clientY - chart.getBoundingClientRect().top - made.view.origin()[1],
      );
  });
  chart.addEventListener("pointercancel", () => {
    start = null;
    brush.hidden = true;
  });
  chart.addEventListener("pointerleave", () => {
    if (start === null) {
      focus(null);
      hideTip();
    }
  });
  chart.addEventListener("blur", () => {
    focus(null);
    hideTip();
  });
  chart.addEventListener("keydown", (event) => {
    const all = places(made);
    const at = all.indexOf(state.focus);
    const [low, high] = domain();
    const middle = state.focus ?? (low + high) / 2;
    const moves = {
      ArrowRight: Math.min(at + 1, all.length - 1),
      ArrowLeft: at < 0 ? all.length - 1 : Math.max(at - 1, 0),
      Home: 0,
      End: all.length - 1,
    };
    if (event.key in moves && all.length) {
      const { left: x, top } = chart.getBoundingClientRect();
      showLayer(
        made,
        all[moves[event.key]],
        x + made.view.origin()[0] + made.view.scale("x")(all[moves[event.key]]),
        top + 40,
      );
    } else if (event.key === "Enter" && at >= 0) openNearest(made, state.focus, 0);
    else if (event.key === "+" || event.key === "=")
      zoom(middle - (high - low) / 4, middle + (high - low) / 4);
    else if (event.key === "-") zoom(middle - (high - low), middle + (high - low));
    else if (event.key === "0") zoom(-Infinity, Infinity);
    else return;
    event.preventDefault();
  });
}

// Opens the layer at a place, of the run whose line is closest to the pointer.
function openNearest(made, place, pixel) {
  const scale = made.view.scale("y");
  const distance = ({ figure }) =>
    fits(figure[0], made.log) ? Math.abs(scale(figure[0]) - pixel) : Infinity;
  const [found] = [...pointsOf(made, drawable)]
    .filter(({ layer }) => layer.place === place)
    .sort((a, b) => distance(a) - distance(b));
  if (found) openLayer(found.run, found.layer);
}
