"use strict";
(() => {
  const root = document.documentElement;
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const themeName = () => root.dataset.theme || (prefersDark.matches ? "dark" : "light");

  // ---- figures ------------------------------------------------------------------------------
  const themes = read("themes");
  const fontFamily = getComputedStyle(document.body).fontFamily;
  const drawn = [];

  // Only values of keys that hold a colour: a label may start with @ as well.
  const painted = (value, theme, key) => {
    if (Array.isArray(value)) {
      return value.some((v) => v !== null && typeof v === "object")
        ? value.map((v) => painted(v, theme)) : value;
    }
    if (value !== null && typeof value === "object") {
      return Object.fromEntries(
        Object.entries(value).map(([k, v]) => [k, painted(v, theme, k)]));
    }
    return typeof value === "string" && value[0] === "@" && key && /color/.test(key)
      ? theme[value.slice(1)] : value;
  };

  const roomiest = (choices, slot) =>
    choices.reduce((best, choice) => (choice.room <= slot ? choice : best), choices[0]);

  const draw = (plot) => {
    const { box, state } = plot;
    const figure = plot.figures[state.step];
    const look = figure.looks ? figure.looks[state.colouring] : figure;
    const hidden = state.hidden[state.colouring];
    const theme = themes[themeName()];
    const layout = painted(figure.layout, theme);
    const width = box.clientWidth;
    layout.width = width;
    layout.height = figure.height;
    layout.font = { family: fontFamily };
    layout.dragmode = matchMedia("(pointer: coarse)").matches ? false : "zoom";
    const inner = { x: width - 86 - (figure.data.some((t) => t.colorbar) ? 90 : 0),
      y: figure.height - 70 };
    for (const side of ["x", "y"]) {
      if (!figure.ticks[side]) continue;
      const [low, high] = figure.layout[side + "axis"].range;
      const { room, ...labels } = roomiest(figure.ticks[side], inner[side] / (high - low));
      Object.assign(layout[side + "axis"], labels);
    }
    const data = figure.data.map((trace, i) => {
      const marker = look.markers && look.markers[i];
      return {
        ...painted(marker ? { ...trace, marker } : trace, theme),
        visible: hidden.has(look.entries[i]) ? "legendonly" : true,
      };
    });
    // An enlarged part stays enlarged while the axes mean the same.
    layout.uirevision = JSON.stringify([layout.xaxis.range, layout.yaxis.range]);
    // The bar of buttons would cover data; the page says how to zoom.
    const config = { displayModeBar: false, responsive: false, plotlyServerURL: "",
      typesetMath: false };
    plot.width = width;
    return Plotly.react(box, data, layout, config);
  };

  // Plotly takes up to a second for thousands of points. While a slider moves, their places alone
  // are changed; when it rests, plotly draws the step, so that hovering knows where they are.
  const coordinates = (values) => values.bdata === undefined ? values : new Float32Array(
    Uint8Array.from(atob(values.bdata), (c) => c.charCodeAt(0)).buffer);

  const glide = ({ box, figures, state }) => {
    const figure = figures[state.step];
    const look = figure.looks ? figure.looks[state.colouring] : figure;
    const { xaxis, yaxis } = box._fullLayout || {};
    const { range: [left, right] } = figure.layout.xaxis;
    const { range: [low, high] } = figure.layout.yaxis;
    if (!xaxis || !figure.layout.yaxis.scaleanchor) return false;
    const unit = Math.max((right - left) / xaxis._length, (high - low) / yaxis._length);
    const place = (x, y) => [xaxis._length / 2 + (x - (left + right) / 2) / unit,
      yaxis._length / 2 - (y - (low + high) / 2) / unit];
    const shown = figure.data.filter((_, i) => !state.hidden[state.colouring].has(look.entries[i]));
    const groups = box.querySelectorAll(".scatterlayer > .trace");
    const moves = shown.map((trace, i) => [coordinates(trace.x), coordinates(trace.y),
      groups[i] ? groups[i].querySelectorAll(".points path, .textpoint text") : []]);
    if (moves.some(([xs, , marks]) => xs.length !== marks.length)) return false;
    for (const [xs, ys, marks] of moves) {
      marks.forEach((mark, i) => {
        const [x, y] = place(xs[i], ys[i]);
        if (mark.tagName === "path") mark.setAttribute("transform", `translate(${x},${y})`);
        else { mark.setAttribute("x", x); mark.setAttribute("y", y); }
      });
    }
    return true;
  };

  const unpacked = (base64) => {
    const packed = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip")));
  };

  // The states of a figure: one, or as many as it has steps. Hover texts are kept once for all.
  const states = async (element) => {
    const content = element.type === "application/gzip"
      ? await unpacked(element.textContent).json() : JSON.parse(element.textContent);
    for (const step of content.steps || []) {
      for (const trace of step.panels.flatMap((panel) => panel.data)) {
        if ("hovertext" in trace) trace.hovertext = content.texts[trace.hovertext];
      }
    }
    return { shown: 0, steps: [content], ...content };
  };

  const start = async (article) => {
    const { steps, shown } = await states(document.getElementById(article.dataset.json));
    const legends = [...article.querySelectorAll(".legend")];
    const choices = [...article.querySelectorAll(".colourings button")];
    const state = { step: shown, colouring: 0, hidden: [0, ...choices].map(() => new Set()) };
    const plots = [...article.querySelectorAll(".plot")].map((box, i) => (
      { box, state, figures: steps.map((step) => step.panels[i]), width: 0 }));
    const redraw = () => Promise.all(plots.map(draw));
    await redraw();
    drawn.push(...plots);
    article.classList.add("ready");

    legends.forEach((legend) => {
      const hidden = state.hidden[Number(legend.dataset.colouring || 0)];
      for (const button of legend.querySelectorAll("button")) {
        button.addEventListener("click", () => {
          const entry = Number(button.dataset.entry);
          if (!hidden.delete(entry)) hidden.add(entry);
          button.setAttribute("aria-pressed", String(!hidden.has(entry)));
          redraw();
        });
      }
    });
    for (const button of choices) {
      button.addEventListener("click", () => {
        state.colouring = Number(button.dataset.colouring);
        choices.forEach((c) => c.setAttribute("aria-pressed", String(c === button)));
        legends.forEach((l) => { l.hidden = l.dataset.colouring !== button.dataset.colouring; });
        redraw();
      });
    }
    const slider = article.querySelector(".steps input");
    if (slider) {
      let waiting = false;
      let resting = 0;
      const move = () => {
        state.step = Number(slider.value);
        const { label } = steps[state.step];
        slider.setAttribute("aria-valuetext", `${slider.dataset.name} ${label}`);
        article.querySelector(".steps output").textContent = label;
        for (const button of article.querySelectorAll(".steps button")) {
          const next = state.step + Number(button.dataset.move);
          button.disabled = next < 0 || next >= steps.length;
        }
        // However fast the slider moves, each picture shows where it is by then.
        if (waiting) return;
        waiting = true;
        requestAnimationFrame(() => {
          waiting = false;
          clearTimeout(resting);
          const moved = plots.filter(glide);
          plots.filter((plot) => !moved.includes(plot)).forEach(draw);
          if (moved.length) resting = setTimeout(() => moved.forEach(draw), 300);
        });
      };
      slider.addEventListener("input", move);
      for (const button of article.querySelectorAll(".steps button")) {
        button.addEventListener("click", () => {
          slider.value = String(state.step + Number(button.dataset.move));
          move();
        });
      }
      slider.value = String(state.step);
      move();
    }
    const resized = new ResizeObserver(() => {
      for (const plot of plots) {
        if (plot.box.clientWidth && plot.box.clientWidth !== plot.width) draw(plot);
      }
    });
    plots.forEach((plot) => resized.observe(plot.box));
  };

  const figures = [...document.querySelectorAll("figure[data-json]")];
  if (typeof Plotly === "undefined") {
    root.classList.add("no-plotly");
  } else {
    const seen = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        seen.unobserve(entry.target);
        start(entry.target).catch((error) => {
          // The still picture stays in its place.
          entry.target.classList.add("failed");
          console.error(error);
        });
      }
    }, { rootMargin: "800px" });
    figures.forEach((figure) => seen.observe(figure));
  }
  for (const figure of figures) {
    const link = figure.querySelector("a.png");
    link.href = figure.querySelector("img").src;
    link.hidden = false;
  }

  // ---- theme --------------------------------------------------------------------------------
  const toggle = document.getElementById("theme");
  const label = () => {
    toggle.textContent = themeName() === "dark" ? "Light theme" : "Dark theme";
  };
  const repaint = () => { label(); drawn.forEach(draw); };
  toggle.hidden = false;
  label();
  toggle.addEventListener("click", () => {
    root.dataset.theme = themeName() === "dark" ? "light" : "dark";
    try { localStorage.setItem("isogloss-theme", root.dataset.theme); } catch { /* as above */ }
    repaint();
  });
  prefersDark.addEventListener("change", repaint);

  // ---- tables -------------------------------------------------------------------------------
  const key = (row, column) => {
    const cell = row.cells[column];
    if (cell.querySelector(".missing")) return null;
    return cell.dataset.v === undefined ? cell.textContent.trim() : Number(cell.dataset.v);
  };
  const compare = (a, b) => typeof a === "number" && typeof b === "number"
    ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });

  for (const wrapper of document.querySelectorAll(".table")) {
    const body = wrapper.querySelector("tbody");
    const rows = body ? [...body.rows] : [];
    if (rows.length < 2) continue;
    const heads = [...wrapper.querySelectorAll("thead th")];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
        heads.forEach((h) => h.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
        const keyed = rows.map((row) => [key(row, column), row]);
        // What could not be computed comes last, whichever way the rest is sorted.
        keyed.sort(([a], [b]) => (a === null) - (b === null) || (a === null ? 0 : sign * compare(a, b)));
        body.append(...keyed.map(([, row]) => row));
      });
    });
    if (rows.length <= 10) continue;
    const tools = wrapper.querySelector(".tools");
    const field = document.createElement("label");
    const input = document.createElement("input");
    const count = document.createElement("span");
    input.type = "search";
    count.setAttribute("aria-live", "polite");
    field.append("Filter rows ", input);
    tools.prepend(field, count);
    input.addEventListener("input", () => {
      const wanted = input.value.trim().toLowerCase();
      let left = 0;
      for (const row of rows) {
        row.hidden = wanted !== "" && !row.textContent.toLowerCase().includes(wanted);
        left += !row.hidden;
      }
      count.textContent = wanted ? `${left} of ${rows.length} rows` : "";
    });
  }

  // ---- downloads ----------------------------------------------------------------------------
  // Large files are packed with gzip. Browsers that can, unpack them; others save NAME.gz.
  if (typeof DecompressionStream !== "undefined") {
    for (const link of document.querySelectorAll("a[data-unpack]")) {
      link.download = link.dataset.unpack;
      link.addEventListener("click", async (event) => {
        if (!link.dataset.unpack) return;
        event.preventDefault();
        const content = await unpacked(link.href.split(",", 2)[1]).blob();
        link.href = URL.createObjectURL(new Blob([content], { type: link.dataset.type }));
        link.dataset.unpack = "";
        link.click();
      });
    }
  }

  // ---- print --------------------------------------------------------------------------------
  const opened = [];
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details.print:not([open])")) {
      details.open = true;
      opened.push(details);
    }
  });
  addEventListener("afterprint", () => {
    while (opened.length) opened.pop().open = false;
  });
})();
