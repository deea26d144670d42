/* The free energy of an ellipse from hot to cold: over the plane, along a line, and the weights of the angles. */
"use strict";
live.start("ellipse", (stage, data) => {
  const { radii, angles } = data;
  const REACH = [3.2, 2.6];
  const [COLUMNS, ROWS, MOST] = [97, 79, 6];
  let y = [...data.y];
  let beta = live.betaAt(data.place);
  let map = null;
  let plane = null;
  const energies = () => live.math.ellipseEnergies(radii, y, angles);
  const line = (at) => {
    const points = [];
    for (let k = 0; k <= 160; k += 1) {
      const second = REACH[1] * (k / 80 - 1);
      points.push([second, live.math.freeEnergy(live.math.ellipseEnergies(radii, [y[0], second], angles), at)]);
    }
    return points;
  };

  function drawPlane(context, width, height, colours) {
    const box = { left: 46, top: 12, width: width - 46 - 54, height: height - 12 - 44 };
    plane = plot.axes(context, box, { from: -REACH[0], to: REACH[0], ticks: [-3, -2, -1, 0, 1, 2, 3], label: "*y*_1" },
      { from: -REACH[1], to: REACH[1], ticks: [-2, -1, 0, 1, 2], label: "*y*_2" }, colours, false);
    map = map || live.math.freeEnergyMap(radii, angles, beta, REACH, COLUMNS, ROWS);
    context.save();
    context.beginPath();
    context.rect(box.left, box.top, box.width, box.height);
    context.clip();
    const [dx, dy] = [box.width / (COLUMNS - 1), box.height / (ROWS - 1)];
    const around = { left: box.left - dx / 2, top: box.top - dy / 2, width: box.width + dx, height: box.height + dy };
    plot.image(context, around, ROWS, COLUMNS, (index) => plot.viridis(map[index] / MOST), true);
    [context.lineWidth, context.strokeStyle] = [0.8, "rgba(255, 255, 255, 0.55)"];
    context.beginPath();
    for (let level = 0.5; level < MOST; level += 0.5) {
      for (const [x1, y1, x2, y2] of live.math.level(map, ROWS, COLUMNS, level)) {
        context.moveTo(box.left + x1 * dx, box.top + y1 * dy);
        context.lineTo(box.left + x2 * dx, box.top + y2 * dy);
      }
    }
    context.stroke();
    context.restore();
    drawScale(context, box, colours);
    const at = (k) => {
      const z = (2 * Math.PI * k) / angles;
      return [radii[0] * Math.cos(z), radii[1] * Math.sin(z)];
    };
    plot.curve(context, plane, Array.from({ length: angles + 1 }, (_, k) => at(k)), "white", 1.5);
    const all = live.math.relativeWeights(energies(), beta);
    plot.curve(context, plane, [[y[0], -REACH[1]], [y[0], REACH[1]]], "white", 1.2, [2, 4]);
    all.forEach((weight, k) => plot.dot(context, plane.across(at(k)[0]), plane.up(at(k)[1]), 1 + 4.5 * Math.sqrt(weight), "#ff8ac0", null));
    plot.dot(context, plane.across(y[0]), plane.up(y[1]), 7.5, "white", "black");
    plot.text(context, "*y*′", plane.across(y[0]) + 15, plane.up(y[1]) - 6, { colour: "white", size: 15 });
  }

  function drawScale(context, box, colours) {
    const bar = { left: box.left + box.width + 12, top: box.top, width: 11, height: box.height };
    plot.image(context, bar, 128, 1, (index) => plot.viridis(1 - index / 127), true);
    context.strokeStyle = colours.line;
    context.strokeRect(bar.left, bar.top, bar.width, bar.height);
    for (const value of [0, 2, 4, 6]) {
      const words = value === MOST ? "≥ 6" : String(value);
      const at = bar.top + bar.height * (1 - value / MOST);
      plot.text(context, words, bar.left + 16, at + (value === MOST ? 10 : 4),
        { colour: colours.muted, size: 12, align: "left" });
    }
    plot.text(context, "*F*_β", bar.left + 18, bar.top + bar.height + 34, { colour: colours.ink });
  }

  function drawLine(context, width, height, colours) {
    const box = { left: 46, top: 30, width: width - 46 - 10, height: height - 30 - 44 };
    const axes = plot.axes(context, box, { from: -REACH[1], to: REACH[1], ticks: [-2, -1, 0, 1, 2], label: "*y*_2, along the dotted line" },
      { from: 0, to: MOST, ticks: [0, 1, 2, 3, 4, 5, 6], label: "free energy *F*_β" }, colours);
    plot.curve(context, axes, line(0), colours.hot, 1.6, [6, 4]);
    plot.curve(context, axes, line(Infinity), colours.cold, 1.6, [6, 4]);
    plot.curve(context, axes, line(beta), colours.ink, 2.6);
    const value = live.math.freeEnergy(energies(), beta);
    if (value <= MOST) plot.dot(context, axes.across(y[1]), axes.up(value), 6, "white", "black");
    plot.text(context, "β = 0: mean", box.left, 20, { colour: colours.hot, align: "left", size: 12 });
    plot.text(context, "β = ∞: minimum", box.left + box.width, 20, { colour: colours.cold, align: "right", size: 12 });
  }

  function drawWeights(context, width, height, colours) {
    const box = { left: 46, top: 30, width: width - 46 - 14, height: height - 30 - 44 };
    const quarters = [[-Math.PI, "−π"], [-Math.PI / 2, "−π/2"], [0, "0"], [Math.PI / 2, "π/2"], [Math.PI, "π"]];
    const axes = plot.axes(context, box, { from: -Math.PI, to: Math.PI, ticks: quarters, label: "angle *z*" },
      { from: 0, to: 1.06, ticks: [0, 0.5, 1], label: "exp(−β*E*) / its maximum" }, colours);
    const all = live.math.relativeWeights(energies(), beta);
    const points = Array.from({ length: angles + 1 }, (_, k) => [(2 * Math.PI * k) / angles - Math.PI, all[(k + angles / 2) % angles]]);
    context.beginPath();
    context.moveTo(axes.across(-Math.PI), axes.up(0));
    for (const [z, weight] of points) context.lineTo(axes.across(z), axes.up(weight));
    context.lineTo(axes.across(Math.PI), axes.up(0));
    [context.fillStyle, context.globalAlpha] = [colours.accent, 0.18];
    context.fill();
    context.globalAlpha = 1;
    plot.curve(context, axes, points, colours.accent, 2.4);
  }

  const low = (width) => Math.min(width, 270);
  const panels = [];
  function changed(next) {
    if (next !== undefined) [beta, map] = [next, null];
    panels.forEach((panel) => panel.redraw());
    const value = live.math.freeEnergy(energies(), beta);
    stage.readout.textContent = `y′ = (${y.map((one) => one.toFixed(2).replace("-", "−")).join(", ")}),  F = ${value.toFixed(3)} at ${live.sayBeta(beta)}`;
  }
  live.betaSlider(stage, data.place, changed);
  panels.push(
    live.panel(stage, "", (width) => (width - 100) * REACH[1] / REACH[0] + 56, drawPlane, "17rem", 1.5),
    live.panel(stage, "Free energy along the line through y′, with the limits hot and cold", low, drawLine, "14rem"),
    live.panel(stage, "exp of minus beta times energy, over the angle z", low, drawWeights, "14rem"),
  );
  const move = (next) => {
    y = next.map((one, axis) => Math.min(Math.max(one, -REACH[axis]), REACH[axis]));
    changed();
  };
  live.drag(panels[0].canvas, "The plane with the ellipse. Arrow keys move the point y′.",
    (px, py) => {
      const { box } = plane;
      move([((px - box.left) / box.width * 2 - 1) * REACH[0], (1 - (py - box.top) / box.height * 2) * REACH[1]]);
    },
    (dx, dy) => move([y[0] + 0.1 * dx, y[1] + 0.1 * dy]),
    (px, py) => Math.hypot(px - plane.across(y[0]), py - plane.up(y[1])) < 40);
  changed();
});
