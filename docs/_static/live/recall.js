/* A Hopfield network that recalls one of six letters from what is drawn, and its energy after every flip. */
"use strict";
live.start("recall", (stage, data) => {
  const { side } = data;
  const [units, names, RATE] = [side * side, ["E", "B", "M", "J", "A", "X"], 20]; // flips a second
  const spinsOf = (marks) => Float64Array.from(marks, (mark) => (mark === "1" ? 1 : -1));
  const stored = data.letters.map(spinsOf);
  const rules = Object.keys(data.weights);
  const networks = rules.map((rule) => live.math.network(data.weights[rule], units));
  const uniform = live.random(7);
  const spins = Float64Array.from(stored[4]);
  let [weights, energies, order, idle, due, cell] = [networks[0], [], [], 0, 0, 0];
  let [square, player, focused] = [null, null, false];

  function energyNow() {
    return live.math.networkEnergy(weights, spins);
  }

  /** What has been drawn is the start of a new recall. */
  function drawn() {
    player.set(false);
    [energies, order, idle] = [[energyNow()], [], 0];
    show("drawn");
  }

  /** Visit units, in a new random order in every sweep, until one flips; whether one did. */
  function flip() {
    while (idle < 2 * units) {
      if (!order.length) {
        order = Array.from({ length: units }, (_, unit) => [uniform(), unit]).sort((a, b) => a[0] - b[0]).map((pair) => pair[1]);
      }
      idle += 1;
      const change = live.math.visit(weights, spins, order.pop());
      if (change) {
        energies.push(energies[energies.length - 1] + change);
        idle = 0;
        return true;
      }
    }
    return false;
  }

  function noisy(share) {
    spins.forEach((spin, unit) => { if (uniform() < share) spins[unit] = -spin; });
    drawn();
  }

  function drawPad(context, width, height, colours) {
    square = (Math.min(width, height) - 2) / side;
    for (let unit = 0; unit < units; unit += 1) {
      const [x, y] = [1 + (unit % side) * square, 1 + Math.floor(unit / side) * square];
      context.fillStyle = spins[unit] > 0 ? colours.cold : colours.paper;
      context.fillRect(x, y, square, square);
      [context.strokeStyle, context.lineWidth] = [colours.grid, 1];
      context.strokeRect(x, y, square, square);
    }
    if (focused) {
      [context.strokeStyle, context.lineWidth] = [colours.hot, 3];
      context.strokeRect(1 + (cell % side) * square, 1 + Math.floor(cell / side) * square, square, square);
    }
  }

  function drawEnergy(context, width, height, colours) {
    const letters = stored.map((one) => live.math.networkEnergy(weights, one));
    const box = { left: 54, top: 12, width: width - 54 - 76, height: height - 12 - 44 };
    const [low, high] = [Math.min(...letters, ...energies), Math.max(...energies, 0)];
    const unit = high - low > 120 ? 50 : 20;
    const y = { from: low - 6, to: high + 6, ticks: [], label: "energy *E*" };
    for (let tick = Math.ceil(y.from / unit) * unit; tick <= y.to; tick += unit) y.ticks.push(tick);
    const most = Math.max(40, energies.length - 1);
    const gap = most > 100 ? 50 : most > 50 ? 20 : 10;
    const x = { from: 0, to: most, ticks: [], label: "flips" };
    for (let tick = 0; tick <= most; tick += gap) x.ticks.push(tick);
    const axes = plot.axes(context, box, x, y, colours);
    const levels = new Map();
    letters.forEach((energy, k) => {
      const near = [...levels.keys()].find((one) => Math.abs(axes.up(one) - axes.up(energy)) < 13);
      levels.set(near ?? energy, (levels.get(near) ?? "") + names[k] + " ");
      context.setLineDash([5, 4]);
      [context.lineWidth] = [1.2];
      plot.segment(context, box.left, axes.up(energy), box.left + box.width, axes.up(energy), colours.hot);
      context.setLineDash([]);
    });
    for (const [energy, words] of levels) {
      plot.text(context, words, box.left + box.width + 5, axes.up(energy) + 4, { colour: colours.hot, align: "left", size: 12 });
    }
    const steps = energies.flatMap((energy, k) => (k ? [[k, energies[k - 1]], [k, energy]] : [[k, energy]]));
    plot.curve(context, axes, steps, colours.cold, 2.2);
    plot.dot(context, axes.across(energies.length - 1), axes.up(energies[energies.length - 1]), 5, colours.cold, colours.paper);
  }

  const panels = [];
  function show(state) {
    panels.forEach((panel) => panel.redraw());
    const overlaps = stored.map((one) => one.reduce((sum, spin, unit) => sum + spin * spins[unit], 0) / units);
    const best = overlaps.reduce((one, overlap, k) => (overlap > overlaps[one] ? k : one), 0);
    const words = { drawn: "press Recall", moving: "recalling", still: "no unit flips any more" }[state];
    const energy = energies[energies.length - 1].toFixed(1).replace("-", "−");
    stage.readout.textContent =
      `E = ${energy} after ${energies.length - 1} flips, ${words}. Nearest: ${names[best]}, overlap ${overlaps[best].toFixed(2).replace("-", "−")}`;
  }
  player = live.player(stage, ["Recall", "Stop"], (seconds) => {
    due = Math.min(due + seconds * RATE, 1);
    if (due < 1) return;
    due -= 1;
    const moved = flip();
    if (!moved) player.set(false);
    show(moved ? "moving" : "still");
  }, false);
  live.button(stage, "Flip a fifth", () => noisy(0.2));
  live.button(stage, "Clear", () => { spins.fill(-1); drawn(); });
  const field = live.element("fieldset", stage.controls);
  live.element("legend", field, {}, "Stored");
  names.forEach((name, k) => {
    const made = live.element("button", field, { type: "button", "aria-label": `Show the letter ${name}` }, name);
    made.addEventListener("click", () => { spins.set(stored[k]); drawn(); });
  });
  live.choice(stage, "Weights", rules, 0, (chosen) => { weights = networks[chosen]; drawn(); });
  panels.push(
    live.panel(stage, "", (width) => Math.min(width, 360), drawPad, "14rem"),
    live.panel(stage, "Energy after each flip, and the energies of the stored letters", (width) => Math.min(width, 330), drawEnergy, "17rem", 1.4),
  );
  const pad = panels[0].canvas;
  let ink = 1;
  live.drag(pad, "Ten by ten pixels. Draw, or move with the arrow keys and flip with the space bar.",
    (x, y, first) => {
      const [column, row] = [Math.floor((x - 1) / square), Math.floor((y - 1) / square)];
      if (column < 0 || row < 0 || column >= side || row >= side) return;
      cell = row * side + column;
      if (first) ink = -spins[cell];
      spins[cell] = ink;
      drawn();
    },
    (dx, dy, key) => {
      const [column, row] = [(cell % side) + dx, Math.floor(cell / side) - dy];
      if (column >= 0 && row >= 0 && column < side && row < side) cell = row * side + column;
      if (key === " ") spins[cell] = -spins[cell];
      if (key === " ") drawn();
      else panels[0].redraw();
    });
  pad.style.cursor = "crosshair";
  for (const [event, is] of [["focus", true], ["blur", false]]) {
    pad.addEventListener(event, () => { focused = is; panels[0].redraw(); });
  }
  noisy(0.2);
});
