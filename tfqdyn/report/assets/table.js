// The layer table: columns, filters, sorting; figures of one run, or one figure of all runs.

const text3 = (figure) => (figure ? text(figure[0]) : "–");

// Columns of the table: heading, class, how to sort by it, and how to show it.
function columns() {
  const plain = [
    {
      heading: "no.",
      kind: "num",
      sort: (row) => row.layer.number ?? Infinity,
      show: (row) => row.layer.number ?? "",
    },
    {
      heading: "layer",
      kind: "",
      sort: (row) => row.layer.name,
      show: (row) =>
        element(
          "button",
          {
            type: "button",
            class: "link",
            onclick: (event) => {
              event.stopPropagation();
              openLayer(row.run, row.layer);
            },
          },
          ...breakable(row.layer.name),
        ),
      csv: (row) => row.layer.name,
    },
    { heading: "kind", kind: "", sort: (row) => row.layer.kind, show: (row) => row.layer.kind },
  ];
  const numeric = (heading, of) => ({
    heading,
    kind: "num",
    sort: (row) => of(row)?.[0] ?? null,
    show: (row) => text3(of(row)),
    csv: (row) => of(row)?.[0],
    title: (row) => spread(of(row)),
  });
  if (state.shown in page.columns) {
    const [first, ...others] = page.runs;
    const figure = (run) => (row) => run.byName.get(row.layer.name)?.figures[state.shown];
    const change = (run) => (row) => {
      const [a, b] = [figure(first)(row), figure(run)(row)];
      return a && b ? [a[0] === b[0] ? 0 : b[0] - a[0], null] : undefined;
    };
    return [
      ...plain,
      numeric(first.name, figure(first)),
      ...others.flatMap((run) => [
        numeric(run.name, figure(run)),
        numeric(`difference, ${run.name}`, change(run)),
      ]),
    ];
  }
  const run = page.runs[Number(state.shown)];
  const has = (name) => run.layers.some((layer) => layer.figures[name]);
  return [
    ...plain,
    { heading: "shape", kind: "shape", sort: (row) => row.layer.macs, show: (row) => row.layer.shape },
    ...Object.entries(page.columns)
      .filter(([name]) => has(name))
      .map(([name, heading]) => numeric(heading, (row) => row.layer.figures[name])),
  ];
}

function tableRows(shown) {
  const comparing = state.shown in page.columns;
  const runs = comparing ? page.runs : [page.runs[Number(state.shown)]];
  const seen = new Set();
  const rows = runs
    .flatMap((run) => run.layers.map((layer) => ({ run, layer })))
    .filter(({ layer }) => !seen.has(layer.name) && seen.add(layer.name));
  const wanted = byId("filter").value.trim().toLowerCase();
  const kind = byId("kind").value;
  const kept = rows.filter(
    ({ layer }) =>
      (!kind || layer.kind === kind) &&
      (!wanted || layer.name.toLowerCase().includes(wanted) || String(layer.number) === wanted),
  );
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
  byId("table").tHead.replaceChildren(
    element(
      "tr",
      {},
      ...shown.map((column) => {
        const sorted = column.heading === state.sort;
        return element(
          "th",
          {
            scope: "col",
            class: column.kind,
            "aria-sort": sorted ? (state.descending ? "descending" : "ascending") : "none",
          },
          element("button", { type: "button", onclick: () => sortBy(column.heading) }, column.heading),
        );
      }),
    ),
  );
  const shares = new Map(
    shown.filter((c) => c.title).map((column) => [column, barsOf(rows.map(column.sort))]),
  );
  byId("table").tBodies[0].replaceChildren(
    ...rows.map((row, i) =>
      element(
        "tr",
        { onclick: () => openLayer(row.run, row.layer) },
        ...shown.map((column) =>
          element(
            "td",
            {
              class: column.kind,
              title: column.title ? column.title(row) : null,
              style: shares.has(column) ? `--share: ${shares.get(column)[i]}%` : null,
            },
            column.show(row),
          ),
        ),
      ),
    ),
  );
}

// Lengths in percent of the bars behind a column: logarithmic where values span decades.
function barsOf(values) {
  const sizes = values.map((value) => (Number.isFinite(value) && value !== null ? Math.abs(value) : 0));
  const most = Math.max(...sizes, 0);
  const least = Math.min(...sizes.filter((size) => size > 0), most);
  if (!most) return sizes.map(() => 0);
  const decades = Math.log10(most / least);
  return sizes.map((size) =>
    Math.round(
      !size ? 0 : decades > 2 ? 4 + 96 * (1 - Math.log10(most / size) / decades) : (100 * size) / most,
    ),
  );
}

function sortBy(heading) {
  if (state.sort !== heading) [state.sort, state.descending] = [heading, false];
  else if (!state.descending) state.descending = true;
  else state.sort = null; // the third press gives the graph's order back
  drawTable();
  [...byId("table").tHead.querySelectorAll("button")]
    .find((button) => button.textContent === heading)
    ?.focus({ preventScroll: true });
}

function saveTable() {
  const shown = columns();
  const rows = tableRows(shown)[0].map((row) => shown.map((column) => (column.csv ?? column.show)(row)));
  save("layers.csv", "text/csv", csv([shown.map((column) => column.heading), ...rows]));
}

function buildTable() {
  const kinds = [...new Set(page.runs.flatMap((run) => run.layers.map((layer) => layer.kind)))].sort();
  byId("kind").append(
    element("option", { value: "" }, "all"),
    ...kinds.map((kind) => element("option", { value: kind }, kind)),
  );
  const perRun = page.runs.map((run) => element("option", { value: run.index }, run.name));
  byId("shown").append(element("optgroup", { label: "all figures of" }, ...perRun));
  byId("shown-label").hidden = page.runs.length === 1;
  byId("shown").append(
    element(
      "optgroup",
      { label: "differences between the runs by" },
      ...Object.entries(page.columns).map(([name, heading]) => element("option", { value: name }, heading)),
    ),
  );
  byId("shown").onchange = (event) => {
    [state.shown, state.sort] = [event.target.value, null];
    drawTable();
  };
  byId("filter").oninput = drawTable;
  byId("kind").onchange = drawTable;
  byId("table-csv").onclick = saveTable;
}
