// One chart: a Vega view, its heading, its legend and its buttons; tooltips.

function theme() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const [ink, muted, line, paper] = ["--ink", "--muted", "--line", "--paper"].map(colour);
  const font = "system-ui, -apple-system, 'Segoe UI', Roboto, Arial, sans-serif";
  return {
    ink,
    paper,
    stripe: colour("--stripe"),
    config: {
      background: paper,
      axis: {
        labelColor: muted,
        titleColor: muted,
        gridColor: line,
        domainColor: line,
        tickColor: line,
        labelFont: font,
        titleFont: font,
        labelFontSize: 11,
        titleFontSize: 11.5,
        titleFontWeight: "normal",
        gridOpacity: 0.75,
      },
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
  return powers
    .flatMap((power) => parts.map((part) => Number(`${part}e${power}`)))
    .filter((v) => v >= low && v <= high);
}

// A Vega view of one of Python's specifications with these data, y domain and signals; without a
// node for a file of its own, which must say what its colours mean.
async function view(kind, { data, signals, log, y, x, lines, heading }, node) {
  const colours = theme();
  const spec = structuredClone(page.charts[kind]);
  spec.data.forEach((set) => (set.values = data[set.name] ?? []));
  const scale = spec.scales.find((s) => s.name === "y");
  Object.assign(scale, { type: log ? "log" : "linear", domain: y });
  if (log) spec.axes[0].values = decades(y);
  if (x) spec.axes[1].title = x;
  const values = { ...colours, ...signals };
  spec.signals.forEach((signal) => (signal.value = values[signal.name]));
  if (!node) {
    spec.title = heading;
    if (lines) {
      spec.scales.push({
        name: "key",
        type: "ordinal",
        domain: lines.map((l) => l.label),
        range: lines.map((l) => l.colour),
      });
      spec.legends = [{ fill: "key", symbolType: "square", orient: "top", direction: "horizontal" }];
    }
  }
  spec.width = node ? node.clientWidth : 720;
  const tooltip = (_, event, __, value) =>
    value ? tip(event.clientX, event.clientY, [String(value)]) : hideTip();
  const options = {
    mode: "vega",
    renderer: "svg",
    actions: false,
    defaultStyle: false,
    hover: false,
    config: colours.config,
    tooltip,
  };
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
  const chart = element("div", { class: "chart", role: "img", "aria-label": heading });
  const made = { chart, describe, heading, canLog, view: null, hidden: new Set(), log: false };
  const tool = (name, what, onclick) =>
    element("button", { type: "button", "aria-label": `${what}: ${heading}`, onclick }, name);
  const logButton = tool("log", "logarithmic axis", () => {
    made.log = !made.log;
    redrawWith(made);
  });
  logButton.classList.add("toggle");
  const svgButton = tool("SVG", "save as SVG", async () => {
    const drawn = await view(kind, describe(made));
    save(`${heading}.svg`, "image/svg+xml", await drawn.toSVG());
  });
  const csvButton = tool("CSV", "save as CSV", () => save(`${heading}.csv`, "text/csv", csv(rows(made))));
  const legend = element("div", { class: "legend", role: "group", "aria-label": `Lines of ${heading}` });
  lines.forEach((line, i) => {
    const chip = toggle(made.hidden, line.metric, () => redrawWith(made));
    chip.append(swatch(line.colour, MARKERS[i]), line.label);
    legend.append(chip);
  });
  made.node = element(
    "figure",
    { class: "panel" },
    element(
      "figcaption",
      {},
      element("h3", {}, heading),
      element("div", { class: "tools" }, ...(canLog ? [logButton] : []), svgButton, csvButton),
    ),
    ...(lines.length ? [legend] : []),
    chart,
  );
  made.draw = async () => {
    logButton.setAttribute("aria-pressed", String(made.log));
    const drawn = await view(kind, describe(made), chart);
    made.view?.finalize();
    made.view = drawn;
    chart.setAttribute("aria-label", made.inWords ? made.inWords() : heading); // Vega sets its own
  };
  return made;
}

// A button that takes a key out of what is shown, and back in.
function toggle(hidden, key, then) {
  return element("button", {
    type: "button",
    class: "chip",
    "aria-pressed": "true",
    onclick: (event) => {
      const shown = hidden.delete(key) || !hidden.add(key);
      event.currentTarget.setAttribute("aria-pressed", String(shown));
      then();
    },
  });
}

function redrawWith(made) {
  (made.group ?? [made]).forEach((one) => {
    if (made.group && made.shared) one.log = made.log;
    if (one === made || made.shared) one.draw();
  });
}
