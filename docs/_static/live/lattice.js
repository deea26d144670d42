/* Gibbs sweeps of an Ising lattice under a slider through the transition, and its magnetization beside Onsager's. */
"use strict";
live.start("lattice", (stage, data) => {
  const { side, exact } = data;
  const CRITICAL = Math.log(1 + Math.SQRT2) / 2;
  const [RATE, SETTLE, ENOUGH] = [30, 100, 200]; // sweeps a second; not counted; before a mean is kept
  const uniform = live.random(1);
  const spins = Int8Array.from(data.up, (mark) => (mark === "1" ? 1 : -1));
  let beta = data.beta;
  let [done, counted, sum, due] = [0, 0, 0, 0];
  const kept = new Map();

  function sweep() {
    live.math.sweep(spins, side, beta, uniform);
    done += 1;
    if (done > SETTLE) [counted, sum] = [counted + 1, sum + live.math.magnetization(spins)];
    if (counted >= ENOUGH) kept.set(beta, sum / counted);
  }

  function again() {
    [done, counted, sum] = [0, 0, 0];
    show();
  }

  function drawSpins(context, width, height, colours) {
    const [up, down] = [plot.channels(colours.cold), plot.channels(colours.paper)];
    const box = { left: 1, top: 1, width: width - 2, height: height - 2 };
    plot.image(context, box, side, side, (index) => (spins[index] > 0 ? up : down), false);
    context.strokeStyle = colours.line;
    context.strokeRect(box.left, box.top, box.width, box.height);
  }

  function drawMagnetization(context, width, height, colours) {
    const box = { left: 62, top: 30, width: width - 62 - 12, height: height - 30 - 44 };
    const axes = plot.axes(context, box, { from: 0.2, to: 0.7, ticks: [0.2, 0.3, 0.4, 0.5, 0.6, 0.7], label: "inverse temperature *βJ*" },
      { from: 0, to: 1.04, ticks: [0, 0.25, 0.5, 0.75, 1], label: "magnetization per spin" }, colours);
    context.setLineDash([3, 4]);
    plot.segment(context, axes.across(CRITICAL), box.top, axes.across(CRITICAL), box.top + box.height, colours.muted);
    context.setLineDash([]);
    plot.curve(context, axes, exact, colours.hot, 2.4);
    for (const [at, mean] of kept) plot.dot(context, axes.across(at), axes.up(mean), 3.5, colours.cold, null);
    const [now, x] = [live.math.magnetization(spins), axes.across(beta)];
    plot.dot(context, x, axes.up(now), 5, colours.paper, colours.cold);
    if (counted) plot.dot(context, x, axes.up(sum / counted), 6, colours.cold, colours.paper);
    plot.text(context, "exact, infinite lattice", box.left, 20, { colour: colours.hot, align: "left", size: 12 });
    plot.text(context, `${side} × ${side}`, box.left + box.width, 20, { colour: colours.cold, align: "right", size: 12 });
    plot.text(context, "*β*_c", axes.across(CRITICAL) - 12, box.top + 16, { colour: colours.muted });
  }

  const panels = [];
  function show() {
    panels.forEach((panel) => panel.redraw());
    const mean = counted ? `, mean |m| = ${(sum / counted).toFixed(3)} over ${counted} sweeps` : ", settling";
    stage.readout.textContent = `βJ = ${beta.toFixed(3)}, T/J = ${(1 / beta).toFixed(2)}${mean}`;
  }
  const say = (value) => `βJ = ${value.toFixed(3)}`;
  live.slider(stage, "hot → cold", { min: 0.2, max: 0.7, step: 0.005, value: beta, say }, (value) => {
    beta = value;
    again();
  });
  live.player(stage, ["Run", "Pause"], (seconds) => {
    due = Math.min(due + seconds * RATE, 4);
    if (due < 1) return;
    for (; due >= 1; due -= 1) sweep();
    show();
  });
  live.button(stage, "One sweep", () => { sweep(); show(); });
  live.button(stage, "All up", () => { spins.fill(1); again(); });
  live.button(stage, "Random", () => { spins.forEach((_, site) => { spins[site] = uniform() < 0.5 ? 1 : -1; }); again(); });
  stage.readout.removeAttribute("aria-live"); // it changes with every sweep
  panels.push(
    live.panel(stage, `Spins of a ${side} by ${side} lattice, up or down`, (width) => width, drawSpins, "15rem"),
    live.panel(stage, "Magnetization against inverse temperature, exact and of this lattice", (width) => Math.min(width, 340),
      drawMagnetization, "17rem", 1.4),
  );
  show();
});
