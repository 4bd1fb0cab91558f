// The channel view: one layer in a dialog.

const open = () => ({ run: state.open.run, layer: state.open.layer, channels: state.open.layer.channels });

// The other runs' layers of that name, where they have as many channels, and this one's.
const twins = () =>
  visible()
    .concat(visible().includes(open().run) ? [] : [open().run])
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
    const margin = Math.max(0.6, places.length / 80);
    const bars = [];
    const points = [];
    const { run, channels } = open();
    const asBars = name === "range" && channels.low && !made.log;
    for (const twin of asBars ? [] : twins()) {
      places.forEach((channel, x) => {
        const value = twin.layer.channels[name]?.[channel];
        if (fits(value, made.log))
          points.push({
            x,
            y: value,
            colour: twin.run.colour,
            marker: twin.run.marker,
            text: `channel ${channel}: ${text(value)}${unit} (${twin.run.name})`,
          });
      });
    }
    if (asBars)
      places.forEach((channel, x) => {
        const [low, high] = [channels.low[channel], channels.low[channel] + channels.range[channel]];
        bars.push({
          x,
          low,
          high,
          colour: run.colour,
          text: `channel ${channel}: ${text(low)} to ${text(high)}`,
        });
      });
    const given = levels(asBars).filter((level) => fits(level.y, made.log));
    const y = around(
      [...points, ...given].map((mark) => mark.y).concat(bars.flatMap((bar) => [bar.low, bar.high])),
      made,
    );
    return {
      data: { points, bars, levels: given },
      signals: { domain: [-margin, places.length - 1 + margin] },
      log: made.log,
      y,
      x: state.order === "range" ? "channels, widest first" : "channel",
      heading: `${open().layer.name}: ${made.heading}`,
      lines: (asBars ? [{ run }] : twins()).map((twin) => ({
        label: twin.run.name,
        colour: twin.run.colour,
      })),
    };
  };
}

function gridOf({ grid }) {
  return grid && { low: -grid[0] * grid[1], high: grid[0] * (255 - grid[1]) };
}

// Lines across a chart of ranges; no step where it runs in fp32, or every channel has its own.
function rangeAndStep(range, step) {
  const levels = [{ y: range, label: "the tensor's range" }];
  return step ? [...levels, { y: step, label: "one step of its grid", left: true }] : levels;
}

function weightLevels(asBars) {
  const { layer, channels } = open();
  const range = layer.figures.folded_weight_range[0];
  if (!asBars) return rangeAndStep(range, layer.weight_step);
  const low = Math.min(...channels.low);
  return [
    { y: low, label: "" },
    { y: low + range, label: "the tensor's range" },
  ];
}

function activationLevels() {
  const { figures, grid } = open().layer;
  return rangeAndStep(figures.activation_range[0], grid && grid[0]);
}

function describeHistogram(made) {
  const { run, layer } = open();
  const { low, high, fp32, quantized } = layer.histogram;
  const sums = [fp32, quantized].map((counts) => counts.reduce((a, b) => a + b, 0));
  const width = (high - low) / fp32.length;
  const positive = [fp32, quantized].flatMap((counts, i) =>
    counts.filter((c) => c > 0).map((c) => c / sums[i]),
  );
  const least = Math.max(Math.min(...positive) / 2, Math.max(...positive) / 1e6);
  const share = (count, sum) => (made.log ? Math.max(count / sum, least) : count / sum);
  const bins = fp32.map((count, i) => ({
    x0: low + i * width,
    x1: low + (i + 1) * width,
    text: `${text(low + i * width)} to ${text(low + (i + 1) * width)}\nfp32 ${text((100 * count) / sums[0])} %\ndequantized ${text((100 * quantized[i]) / sums[1])} %`,
  }));
  const outline = (counts, sum) =>
    [...counts, counts.at(-1)].map((count, i) => ({ x: low + i * width, y: share(count, sum) }));
  const [filled, steps] = [outline(fp32, sums[0]), outline(quantized, sums[1])];
  const ends = gridOf(layer);
  const codes = layer.grid
    ? Array.from({ length: 256 }, (_, k) => ({ x: layer.grid[0] * (k - layer.grid[1]) }))
    : [];
  const beyond = ends
    ? [
        { x0: low, x1: Math.min(ends.low, high) },
        { x0: Math.max(ends.high, low), x1: high },
      ].filter((b) => b.x1 - b.x0 > width / 100)
    : [];
  const most = Math.max(...filled.map((bin) => bin.y), ...steps.map((step) => step.y));
  return {
    data: { bins, filled, steps, codes, beyond },
    signals: { domain: [low, high], colour: run.colour },
    log: made.log,
    y: made.log ? [least, Math.min(1, most * 1.5)] : [0, most],
    heading: `${layer.name}: ${made.heading}`,
    lines: [
      { label: "fp32", colour: theme().ink },
      { label: "dequantized", colour: run.colour },
    ],
  };
}

function openLayer(run, layer) {
  state.open = { run, layer, charts: [] };
  byId("layer-title").replaceChildren(
    ...breakable(title(layer)),
    element("small", { class: "note" }, `\u2003${layer.kind}, ${layer.shape}`),
  );
  byId("layer-facts").replaceChildren(...layer.facts.map((fact) => element("p", {}, fact)));
  const having = page.runs.filter((other) => other.byName.has(layer.name));
  byId("layer-runs").hidden = having.length < 2;
  byId("layer-runs").replaceChildren(
    ...having.map((other) =>
      element(
        "button",
        {
          type: "button",
          class: "chip choice",
          "aria-pressed": String(other === run),
          onclick: () => openLayer(other, other.byName.get(layer.name)),
        },
        swatch(other.colour, other.marker),
        other.name,
      ),
    ),
  );
  const at = run.layers.indexOf(layer);
  byId("previous").disabled = at === 0;
  byId("next").disabled = at === run.layers.length - 1;

  const table = (name) => () => [
    ["run", "channel", name],
    ...twins().flatMap((twin) =>
      (twin.layer.channels[name] ?? []).map((value, i) => [twin.run.name, i, value]),
    ),
  ];
  const built = [];
  const channels = layer.channels;
  if (channels.range)
    built.push([
      panel("channels", "Folded weights: range of every channel", describeChannels("range", weightLevels), {
        rows: table("range"),
      }),
      true,
    ]);
  built.push([
    panel(
      "channels",
      "SQNR of every channel, in dB",
      describeChannels("sqnr", () => [], " dB"),
      { canLog: false, rows: table("sqnr") },
    ),
    false,
  ]);
  built.push([
    panel(
      "channels",
      "Activations: range of every channel",
      describeChannels("activations", activationLevels),
      { rows: table("activations") },
    ),
    true,
  ]);
  if (layer.histogram) {
    const rows = () => [
      ["from", "to", "fp32", "dequantized"],
      ...layer.histogram.fp32.map((count, i) => {
        const width = (layer.histogram.high - layer.histogram.low) / layer.histogram.fp32.length;
        return [
          layer.histogram.low + i * width,
          layer.histogram.low + (i + 1) * width,
          count,
          layer.histogram.quantized[i],
        ];
      }),
    ];
    const made = panel("histogram", "Histograms: fp32 (grey) and dequantized (line)", describeHistogram, {
      rows,
    });
    built.push([made, true]);
  }
  byId("layer-charts").replaceChildren(
    ...built.map(([made]) => {
      made.node.classList.add("channels");
      return made.node;
    }),
  );
  if (!layer.histogram)
    byId("layer-charts").append(
      element("p", { class: "note" }, "This run kept no histograms: it was made by an earlier version."),
    );
  if (!byId("layer").open) byId("layer").showModal();
  address({ run: run.name, layer: layer.name });
  hideTip();
  built.forEach(([made, log]) => {
    made.log = log;
    made.draw();
  });
  state.open.charts = built.map(([made]) => made);
}

function step(by) {
  const { run, layer } = open();
  const next = run.layers[run.layers.indexOf(layer) + by];
  if (next) openLayer(run, next);
}
