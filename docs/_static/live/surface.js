/* The free energy of the ellipse as a surface over the plane, under a slider from hot to cold. */
"use strict";
live.start("surface", (stage, data) => {
  const { radii, angles } = data;
  const [REACH, RINGS, STEPS, MOST] = [[2.4, 1.95], 28, 72, 9];
  const seen = { yaw: 0.65, pitch: 0.7 };
  let beta = live.betaAt(data.place);
  let map = null;

  /** The points of the plane where the surface is drawn: rings around the middle. */
  function place(ring, step) {
    const [share, turn] = [ring / RINGS, (2 * Math.PI * step) / STEPS];
    return [REACH[0] * share * Math.cos(turn), REACH[1] * share * Math.sin(turn)];
  }

  const heights = () => Array.from({ length: RINGS + 1 }, (_, ring) => Array.from({ length: STEPS + 1 }, (_, step) =>
    live.math.freeEnergy(live.math.ellipseEnergies(radii, place(ring, step), angles), beta)));

  /** Coordinates of the view: the plane is 2 wide, and a height of MOST is 1.9. */
  const at = (first, second, height) => [first / REACH[0], second / REACH[0], (1.9 * height) / MOST - 0.95];

  function drawSurface(context, width, height, colours) {
    map = map || heights();
    const project = solid.view(seen.yaw, seen.pitch, width, 0.86 * height, Math.min(width, height) / 3.2);
    drawFloor(context, project, colours);
    const rows = map.map((row, k) => row.map((value, step) => at(...place(k, step), value)));
    solid.faces(context, project, rows, (row, column, light) => {
      const shade = 0.72 + 0.28 * light;
      const mean = (map[row][column] + map[row + 1][column + 1]) / 2;
      return `rgb(${plot.viridis(mean / 6).map((channel) => Math.round(channel * shade)).join(",")})`;
    });
    const ring = Array.from({ length: 97 }, (_, k) => {
      const y = [radii[0] * Math.cos((2 * Math.PI * k) / 96), radii[1] * Math.sin((2 * Math.PI * k) / 96)];
      return at(...y, live.math.freeEnergy(live.math.ellipseEnergies(radii, y, angles), beta) + 0.03);
    });
    solid.line(context, project, ring, "#ff8ac0", 2.5);
  }

  function drawFloor(context, project, colours) {
    const [a, b] = REACH;
    solid.line(context, project, [at(-a, -b, 0), at(a, -b, 0), at(a, b, 0), at(-a, b, 0), at(-a, -b, 0)], colours.line);
    const word = (words, place, colour) => {
      const [x, y] = project(place);
      plot.text(context, words, x, y + 4, { colour, size: 12 });
    };
    // on the edges of the floor that are nearest to the eye
    const [front, side] = [Math.cos(seen.yaw) > 0 ? -1 : 1, Math.sin(seen.yaw) > 0 ? -1 : 1];
    for (const value of [-2, 0, 2]) {
      word(String(value).replace("-", "−"), at(value, front * (b + 0.45), 0), colours.muted);
      word(String(value).replace("-", "−"), at(side * (a + 0.45), value, 0), colours.muted);
    }
    word("*y*_1", at(1, front * (b + 0.7), 0), colours.ink);
    word("*y*_2", at(side * (a + 0.7), 1, 0), colours.ink);
    // the post of heights stands at the left corner of the picture
    const corners = [[a, b], [a, -b], [-a, b], [-a, -b]];
    const left = corners.reduce((one, other) => (project(at(...other, 0))[0] < project(at(...one, 0))[0] ? other : one));
    solid.line(context, project, [at(...left, 0), at(...left, MOST)], colours.line);
    for (let value = 0; value <= MOST; value += 3) {
      const [x, y] = project(at(...left, value));
      plot.segment(context, x - 4, y, x, y, colours.line);
      plot.text(context, String(value), x - 8, y + 4, { colour: colours.muted, size: 12, align: "right" });
    }
    const [x, y] = project(at(...left, MOST));
    plot.text(context, "*F*_β", x, y - 10, { colour: colours.ink });
  }

  let view = null;
  function changed(next) {
    [beta, map] = [next, null];
    view.redraw();
    const middle = live.math.freeEnergy(live.math.ellipseEnergies(radii, [0, 0], angles), beta);
    const ring = live.math.freeEnergy(live.math.ellipseEnergies(radii, [radii[0], 0], angles), beta);
    stage.readout.textContent = `${live.sayBeta(beta)}: F = ${middle.toFixed(2)} in the middle, ${ring.toFixed(2)} at the end of the long axis`;
  }
  live.betaSlider(stage, data.place, changed);
  view = live.panel(stage, "", (width) => Math.min(width, 480), drawSurface, "100%");
  solid.turned(view.canvas, "The free energy as a surface over the plane. Arrow keys turn it.", seen, view.redraw);
  live.player(stage, ["Turn", "Stop turning"], (seconds) => { seen.yaw += 0.35 * seconds; view.redraw(); });
  changed(beta);
});
