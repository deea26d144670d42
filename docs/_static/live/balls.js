/* Codes of digits as fuzzy balls, while an autoencoder learns with and without its springs and its size control. */
"use strict";
live.start("balls", (stage, data) => {
  const { names, pulls, epochs, labels, balls, overlap, cost } = data;
  const HUES = [215, 28, 130, 0, 275, 45, 320, 185, 75, 245];
  let [kind, place, due] = [3, epochs.length - 1, 0];

  /** Half the width of the panel: the least of 2, 3, 5, 10, 20, … that holds nearly all balls. */
  function reach(now) {
    const sizes = now.map(([a, b, s, t]) => Math.max(Math.abs(a) + s, Math.abs(b) + t)).sort((one, other) => one - other);
    const wanted = sizes[Math.floor(0.95 * (sizes.length - 1))];
    for (let power = 0.001; ; power *= 10) for (const step of [2, 3, 5, 10]) if (step * power >= wanted) return step * power;
  }

  function drawBalls(context, width, height, colours) {
    const now = balls[kind][place];
    const most = reach(now);
    const box = { left: 54, top: 10, width: width - 54 - 12, height: height - 10 - 44 };
    const ticks = [-1, -0.5, 0, 0.5, 1].map((share) => [share * most, String(+(share * most).toPrecision(3)).replace("-", "−")]);
    const axes = plot.axes(context, box, { from: -most, to: most, ticks, label: "code *z*_1" },
      { from: -most, to: most, ticks, label: "code *z*_2" }, colours, false);
    context.save();
    context.beginPath();
    context.rect(box.left, box.top, box.width, box.height);
    context.clip();
    const [x0, y0, unit] = [axes.across(0), axes.up(0), box.width / (2 * most)];
    context.setLineDash([5, 4]);
    [context.strokeStyle, context.lineWidth] = [colours.muted, 1];
    context.beginPath();
    context.arc(x0, y0, unit, 0, 2 * Math.PI);
    context.stroke();
    context.setLineDash([]);
    const dark = document.documentElement.dataset.theme === "dark";
    now.forEach(([a, b, s, t], k) => {
      const [x, y, hue] = [axes.across(a), axes.up(b), HUES[labels[k]]];
      if (pulls[kind]) {
        context.lineWidth = Math.min(0.4 + pulls[kind] / 20, 1.6);
        plot.segment(context, x0, y0, x, y, colours.line);
      }
      context.beginPath();
      context.ellipse(x, y, s * unit, t * unit, 0, 0, 2 * Math.PI);
      context.fillStyle = `hsl(${hue} 75% 50% / 0.16)`;
      context.fill();
      [context.strokeStyle, context.lineWidth] = [`hsl(${hue} 70% ${dark ? 65 : 42}%)`, 1];
      context.stroke();
    });
    now.forEach(([a, b], k) => plot.text(context, String(labels[k]), axes.across(a), axes.up(b) + 4,
      { colour: `hsl(${HUES[labels[k]]} 80% ${dark ? 74 : 30}%)`, size: 12 }));
    context.restore();
  }

  function drawCost(context, width, height, colours) {
    const all = cost.flat();
    const [low, high] = [Math.floor(Math.min(...all)), Math.ceil(Math.max(...all))];
    const box = { left: 46, top: 10, width: width - 46 - 14, height: height - 10 - 44 };
    const ticks = [];
    for (let tick = Math.ceil(low / 5) * 5; tick <= high; tick += 5) ticks.push(tick);
    const log = (epoch) => Math.log10(epoch);
    const axes = plot.axes(context, box, { from: 0, to: log(epochs[epochs.length - 1]), ticks: [1, 10, 100].map((epoch) => [log(epoch), String(epoch)]), label: "epoch" },
      { from: low, to: high, ticks, label: "−log *p*(*y* | *z*), nats" }, colours);
    const points = (row) => row.slice(1).map((value, k) => [log(epochs[k + 1]), value]);
    cost.forEach((row) => plot.curve(context, axes, points(row), colours.line, 1.2));
    plot.curve(context, axes, points(cost[kind]), colours.accent, 2.6);
    if (place) plot.dot(context, axes.across(log(epochs[place])), axes.up(cost[kind][place]), 5.5, colours.accent, colours.paper);
  }

  const panels = [];
  function show() {
    panels.forEach((panel) => panel.redraw());
    stage.readout.textContent = `${names[kind]}, epoch ${epochs[place]}: mean overlap of two balls ${overlap[kind][place].toFixed(2)}, −log p(y|z) = ${cost[kind][place].toFixed(1)} nats`;
  }
  live.choice(stage, "Terms", names, kind, (chosen) => { kind = chosen; show(); });
  const say = (at) => (epochs[at] ? `epoch ${epochs[at]}` : "untrained");
  const training = live.slider(stage, "training", { min: 0, max: epochs.length - 1, step: 1, value: place, say }, (at) => { place = at; show(); });
  const learning = live.player(stage, ["Train", "Stop"], (seconds) => {
    due += 3 * seconds;
    if (due < 1) return;
    due = 0;
    if (place + 1 < epochs.length) training.set(place + 1);
    else learning.set(false);
  }, false);
  stage.controls.lastChild.addEventListener("click", () => {
    if (learning.running() && place === epochs.length - 1) training.set(0);
  });
  panels.push(
    live.panel(stage, "Codes of sixty digits, drawn as balls around their means", (width) => Math.min(width - 10, 460), drawBalls, "19rem", 1.5),
    live.panel(stage, "The cost of decoding against the epochs of training", (width) => Math.min(width, 300), drawCost, "15rem"),
  );
  show();
});
