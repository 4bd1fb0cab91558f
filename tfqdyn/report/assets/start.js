// Themes, addresses of layers, events of the page, and the start.

// The page's address, with what is open: every layer has one of its own.
function address(open) {
  const hash = open ? `#${new URLSearchParams(open)}` : "";
  if (location.hash !== hash) history.replaceState(null, "", hash || location.pathname + location.search);
}

// Opens the layer that the address names, of the run that it names or of the first that has it.
function openAddressed() {
  const named = new URLSearchParams(location.hash.slice(1));
  const having = page.runs.filter((run) => run.byName.has(named.get("layer")));
  const run = having.find((one) => one.name === named.get("run")) ?? having[0];
  if (run) openLayer(run, run.byName.get(named.get("layer")));
}

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
  for (const run of page.runs) {
    const chip = toggle(state.hidden, run.index, drawCharts);
    chip.append(swatch(run.colour, run.marker), run.name);
    byId("runs").append(chip);
  }
  byId("runs").hidden = page.runs.length === 1;
  buildCharts();
  buildTable();
  drawTable();
  setTheme(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");

  byId("theme").onclick = () =>
    setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  byId("print").onclick = () => print();
  byId("reset").onclick = () => zoom(-Infinity, Infinity);
  byId("ops").onchange = (event) => {
    state.ops = event.target.checked;
    drawCharts();
  };
  for (const id of ["from", "to"])
    byId(id).onchange = () => zoom(byId("from").valueAsNumber - 0.6, byId("to").valueAsNumber + 0.6);
  byId("close").onclick = () => byId("layer").close();
  byId("order").onchange = (event) => {
    state.order = event.target.checked ? "range" : "channel";
    state.open.charts.forEach((made) => made.draw());
  };
  byId("previous").onclick = () => step(-1);
  byId("next").onclick = () => step(1);
  byId("layer").addEventListener("close", () => {
    hideTip();
    address(null);
  });
  addEventListener("hashchange", openAddressed);
  byId("layer").addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  document.querySelectorAll("[data-layer]").forEach(
    (button) =>
      (button.onclick = () => {
        const run = page.runs[button.dataset.run];
        openLayer(run, run.byName.get(button.dataset.layer));
      }),
  );
  document.querySelectorAll(".blocks .fold").forEach((button) => {
    const inner = button.closest("tbody").querySelectorAll(".inner");
    const fold = (open) => {
      button.setAttribute("aria-expanded", String(open));
      inner.forEach((row) => (row.hidden = !open));
    };
    button.onclick = () => fold(button.getAttribute("aria-expanded") !== "true");
    fold(false); // pages without scripts show all
  });
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth !== width) {
      width = innerWidth;
      redraw();
    }
  });
  let before;
  addEventListener("beforeprint", () => {
    before = document.documentElement.dataset.theme;
    setTheme("light");
  });
  addEventListener("afterprint", () => setTheme(before));
  openAddressed();
}

start();
