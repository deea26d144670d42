/* A digit as a sum of strokes, one at a time, under a slider over λ. Atoms and codes were computed by the library. */
"use strict";

/** Atoms of unit norm, from the whole numbers of the file. */
live.math.unitAtoms = (atoms) => atoms.map((atom) => {
  const norm = Math.hypot(...atom);
  return atom.map((pixel) => pixel / norm);
});

/** The sum of the first terms of a code: a code is a list of pairs (atom, coefficient), the largest first. */
live.math.partialSum = (atoms, code, terms) => {
  const sum = new Float64Array(atoms[0].length);
  for (const [atom, coefficient] of code.slice(0, terms)) atoms[atom].forEach((pixel, at) => { sum[at] += coefficient * pixel; });
  return sum;
};

/** ½‖y - Wz‖² of a picture and a sum. */
live.math.misfit = (picture, sum) => 0.5 * picture.reduce((total, pixel, at) => total + (pixel - sum[at]) ** 2, 0);

live.start("strokes", (stage, data) => {
  const { weights, codes } = data;
  const side = Math.sqrt(data.digits[0].length);
  const digits = data.digits.map((row) => row.map((grey) => grey / 100));
  const atoms = live.math.unitAtoms(data.atoms);
  let [digit, place, shown, due] = [3, 6, 0, 0];
  const code = () => codes[place][digit];
  const misfits = () => Array.from({ length: code().length + 1 }, (_, k) => live.math.misfit(digits[digit], live.math.partialSum(atoms, code(), k)));

  function tile(context, left, top, size, pixels, colour, colours) {
    const [full, none] = [plot.channels(colour), plot.channels(colours.paper)];
    const shade = (at) => none.map((from, channel) => from + Math.min(Math.max(pixels[at], 0), 1) * (full[channel] - from));
    const box = { left, top, width: size, height: size };
    plot.image(context, box, side, side, shade, false);
    [context.strokeStyle, context.lineWidth] = [colours.line, 1];
    context.strokeRect(left, top, size, size);
  }

  function drawSum(context, width, height, colours) {
    const size = (width - 18) / 2;
    tile(context, 1, 24, size, digits[digit], colours.ink, colours);
    tile(context, 17 + size, 24, size, live.math.partialSum(atoms, code(), shown), colours.cold, colours);
    plot.text(context, "digit *y*", 1 + size / 2, 16, { colour: colours.ink });
    const words = shown === 1 ? "1 stroke" : `${shown} strokes`;
    plot.text(context, `sum of ${words}`, 17 + 1.5 * size, 16, { colour: colours.cold });
  }

  function drawError(context, width, height, colours) {
    const errors = misfits();
    const most = Math.max(10, errors.length - 1);
    const ticks = Array.from({ length: Math.floor(most / 5) + 1 }, (_, k) => 5 * k);
    const box = { left: 62, top: 24, width: width - 62 - 12, height: height - 24 - 44 };
    const axes = plot.axes(context, box, { from: 0, to: most, ticks, label: "strokes added" },
      { from: 0, to: 1.04, ticks: [0, 0.25, 0.5, 0.75, 1], label: "‖*y* − sum‖² / ‖*y*‖²" }, colours);
    plot.curve(context, axes, errors.map((error, k) => [k, error / errors[0]]), colours.cold, 2);
    errors.forEach((error, k) => plot.dot(context, axes.across(k), axes.up(error / errors[0]), k === shown ? 6 : 3,
      k === shown ? colours.hot : colours.cold, k === shown ? colours.paper : null));
  }

  const grid = (width) => ({ across: Math.max(5, Math.floor(width / 62)), size: width / Math.max(5, Math.floor(width / 62)) });

  function drawStrokes(context, width, height, colours) {
    const { across, size } = grid(width);
    code().forEach(([atom, coefficient], k) => {
      const [left, top, inner] = [(k % across) * size + 3, Math.floor(k / across) * (size + 18) + 4, size - 8];
      context.globalAlpha = k < shown ? 1 : 0.4;
      const largest = Math.max(...atoms[atom]);
      tile(context, left, top, inner, atoms[atom].map((pixel) => pixel / largest), colours.cold, colours);
      plot.text(context, coefficient.toFixed(2), left + inner / 2, top + inner + 15, { colour: colours.ink, size: 12 });
      context.globalAlpha = 1;
      if (k === shown - 1) {
        [context.strokeStyle, context.lineWidth] = [colours.hot, 3];
        context.strokeRect(left, top, inner, inner);
      }
    });
  }

  const panels = [];
  let terms = null;
  function show() {
    panels.forEach((panel) => panel.redraw());
    const misfit = misfits()[code().length];
    const penalty = weights[place] * code().reduce((sum, pair) => sum + pair[1], 0);
    const count = code().length === 1 ? "1 stroke" : `${code().length} strokes`;
    stage.readout.textContent = `λ = ${weights[place]}: ${count}. ½‖y − Wz‖² + λ‖z‖₁ = ${misfit.toFixed(3)} + ${penalty.toFixed(3)} = ${(misfit + penalty).toFixed(3)}`;
  }
  function changed() {
    shown = code().length;
    terms.limit(shown);
    terms.set(shown);
  }
  live.choice(stage, "Digit", [..."0123456789"], digit, (chosen) => { digit = chosen; changed(); });
  live.slider(stage, "λ", { min: 0, max: weights.length - 1, step: 1, value: place, say: (at) => `λ = ${weights[at]}` },
    (at) => { place = at; changed(); });
  const say = (k) => `${k} of ${code().length}`;
  terms = live.slider(stage, "strokes added", { min: 0, max: code().length, step: 1, value: 0, say }, (k) => { shown = k; show(); });
  live.player(stage, ["One at a time", "Stop"], (seconds) => {
    due += seconds;
    if (due < 0.7) return;
    due = 0;
    terms.set(shown >= code().length ? 0 : shown + 1);
  }, false);
  panels.push(
    live.panel(stage, "The digit, and the sum of the strokes so far", (width) => (width - 18) / 2 + 26, drawSum, "17rem"),
    live.panel(stage, "Squared error against the number of strokes", (width) => Math.min(width, 220), drawError, "15rem"),
    live.panel(stage, "The strokes with their coefficients, the largest first",
      (width) => Math.max(1, Math.ceil(code().length / grid(width).across)) * (grid(width).size + 18) + 4, drawStrokes, "100%"),
  );
  changed();
});
