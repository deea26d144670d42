/* The manifold of a horn while it learns, hot and cold, turning. The radii were learned by the library. */
"use strict";
live.start("horns", (stage, data) => {
  const { names, updates, x, radii, samples, truth } = data;
  const [AROUND, REACH] = [36, 16];
  const seen = { yaw: 0.5, pitch: 0.35 };
  let [place, due] = [updates.length - 1, 0];

  /** The third axis is x; y is divided by its largest value. */
  const at = (first, second, third) => [first / REACH, second / REACH, 1.6 * third - 0.8];

  function drawHorn(which) {
    return (context, width, height, colours) => {
      const project = solid.view(seen.yaw, seen.pitch, width, height + 14, Math.min(width, height) / 2.6);
      const tint = plot.channels(which ? colours.cold : colours.hot);
      const paper = plot.channels(colours.paper);
      drawAxes(context, project, colours);
      const rows = radii[which][place].map(([one, other], k) => Array.from({ length: AROUND + 1 }, (_, step) => {
        const z = (2 * Math.PI * step) / AROUND;
        return at(one * Math.cos(z), other * Math.sin(z), x[k]);
      }));
      // samples behind the surface first, then the surface, through which they shine
      for (const [third, first, second] of samples) {
        const [px, py] = project(at(first, second, third));
        plot.dot(context, px, py, 1.7, colours.ink, null);
      }
      context.globalAlpha = 0.72;
      solid.faces(context, project, rows, (row, column, light) => {
        const mixed = tint.map((channel, k) => paper[k] + (0.35 + 0.65 * light) * (channel - paper[k]));
        return `rgb(${mixed.map(Math.round).join(",")})`;
      }, colours.paper);
      context.globalAlpha = 1;
      for (const k of [0, x.length - 1]) {
        const ring = Array.from({ length: AROUND + 1 }, (_, step) => {
          const z = (2 * Math.PI * step) / AROUND;
          return at(truth[k][0] * Math.cos(z), truth[k][1] * Math.sin(z), x[k]);
        });
        solid.line(context, project, ring, colours.ink, 1.2);
      }
      plot.text(context, names[which], width / 2, 16, { colour: which ? colours.cold : colours.hot, size: 14 });
    };
  }

  function drawAxes(context, project, colours) {
    solid.line(context, project, [at(0, 0, 0), at(0, 0, 1.2)], colours.line);
    for (const [words, third] of [["*x* = 0", -0.07], ["*x* = 1", 1.3]]) {
      const [px, py] = project(at(0, 0, third));
      plot.text(context, words, px, py, { colour: colours.muted, size: 12 });
    }
    for (const [words, end] of [["*y*_1 = 15", [15, 0]], ["*y*_2 = 15", [0, 15]]]) {
      solid.line(context, project, [at(0, 0, 0), at(...end, 0)], colours.line);
      const [px, py] = project(at(1.3 * end[0], 1.3 * end[1], 0));
      plot.text(context, words, px, py + 4, { colour: colours.muted, size: 12 });
    }
  }

  function drawRadii(context, width, height, colours) {
    const box = { left: 46, top: 28, width: width - 46 - 12, height: height - 28 - 44 };
    const axes = plot.axes(context, box, { from: 0, to: 1, ticks: [0, 0.25, 0.5, 0.75, 1], label: "observed *x*" },
      { from: 0, to: REACH, ticks: [0, 5, 10, 15], label: "radii |*f*_1|, |*f*_2|" }, colours);
    for (const axis of [0, 1]) {
      names.forEach((_, which) => plot.curve(context, axes, radii[which][place].map((pair, k) => [x[k], Math.abs(pair[axis])]),
        which ? colours.cold : colours.hot, 2.4));
      plot.curve(context, axes, truth.map((pair, k) => [x[k], pair[axis]]), colours.ink, 1.2, [4, 4]);
    }
    plot.text(context, "hot", box.left, 18, { colour: colours.hot, align: "left", size: 12 });
    plot.text(context, "cold", box.left + 34, 18, { colour: colours.cold, align: "left", size: 12 });
    plot.text(context, "true (dashed)", box.left + box.width, 18, { colour: colours.ink, align: "right", size: 12 });
  }

  const panels = [];
  const show = () => panels.forEach((panel) => panel.redraw());
  const say = (at) => `${updates[at]} updates`;
  const training = live.slider(stage, "training", { min: 0, max: updates.length - 1, step: 1, value: place, say }, (next) => {
    place = next;
    show();
  });
  live.player(stage, ["Turn", "Stop turning"], (seconds) => { seen.yaw += 0.3 * seconds; show(); });
  const learning = live.player(stage, ["Train", "Stop"], (seconds) => {
    due += 9 * seconds;
    if (due < 1) return;
    due = 0;
    if (place + 1 < updates.length) training.set(place + 1);
    else learning.set(false);
  }, false);
  stage.controls.lastChild.addEventListener("click", () => {
    if (learning.running() && place === updates.length - 1) training.set(0);
  });
  panels.push(...names.map((name, which) =>
    live.panel(stage, "", (width) => Math.min(width, 340), drawHorn(which), "14rem")));
  panels.push(live.panel(stage, "The radii against x, hot, cold and true", (width) => Math.min(width, 270), drawRadii, "14rem"));
  names.forEach((name, which) =>
    solid.turned(panels[which].canvas, `The horn learned ${name}. Arrow keys turn it.`, seen, show));
  stage.readout.remove();
  show();
});
