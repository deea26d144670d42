/* Surfaces in three dimensions on a canvas: a turned view without perspective, faces painted from back to front. */
"use strict";
const solid = (() => {
  /** The view from a side: `yaw` around the third axis, `pitch` above the horizon; coordinates from -1 to 1. */
  function view(yaw, pitch, width, height, scale) {
    const [cy, sy, cp, sp] = [Math.cos(yaw), Math.sin(yaw), Math.cos(pitch), Math.sin(pitch)];
    return ([a, b, c]) => {
      const [right, away] = [a * cy - b * sy, a * sy + b * cy];
      return [width / 2 + scale * right, height / 2 - scale * (c * cp + away * sp), away * cp - c * sp];
    };
  }

  /** Paint the faces of a grid of points, given as rows of [x, y, z]; `fill(row, column, light)` is a colour. */
  function faces(context, project, rows, fill, edge) {
    const flat = rows.map((row) => row.map(project));
    const found = [];
    for (let r = 0; r + 1 < rows.length; r += 1) {
      for (let c = 0; c + 1 < rows[r].length; c += 1) {
        const corners = [flat[r][c], flat[r][c + 1], flat[r + 1][c + 1], flat[r + 1][c]];
        found.push({ depth: corners.reduce((sum, corner) => sum + corner[2], 0), corners, light: lit(rows, r, c), r, c });
      }
    }
    found.sort((one, other) => other.depth - one.depth);
    context.lineWidth = 0.6;
    context.lineJoin = "round";
    for (const { corners, light, r, c } of found) {
      context.beginPath();
      corners.forEach(([x, y], k) => context[k ? "lineTo" : "moveTo"](x, y));
      context.closePath();
      context.fillStyle = fill(r, c, light);
      context.fill();
      context.strokeStyle = edge || context.fillStyle;
      context.stroke();
    }
  }

  /** How much a face looks to the light, from 0 to 1; both sides are lit. */
  function lit(rows, r, c) {
    const minus = (p, q) => p.map((value, axis) => value - q[axis]);
    const [u, v] = [minus(rows[r + 1][c + 1], rows[r][c]), minus(rows[r + 1][c], rows[r][c + 1])];
    const normal = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
    const length = Math.hypot(...normal) || 1;
    return Math.abs((0.3 * normal[0] - 0.5 * normal[1] + 0.81 * normal[2]) / length);
  }

  /** A line through points in three dimensions. */
  function line(context, project, points, colour, width = 1) {
    context.beginPath();
    points.map(project).forEach(([x, y], k) => context[k ? "lineTo" : "moveTo"](x, y));
    [context.strokeStyle, context.lineWidth] = [colour, width];
    context.stroke();
  }

  /** Turning by dragging and by arrow keys; `seen` is {yaw, pitch}. */
  function turned(canvas, label, seen, redraw) {
    let last = [0, 0];
    const turn = (dyaw, dpitch) => {
      seen.yaw += dyaw;
      seen.pitch = Math.min(Math.max(seen.pitch + dpitch, 0.05), 1.5);
      redraw();
    };
    live.drag(canvas, label, (x, y, first) => {
      if (!first) turn(-(x - last[0]) * 0.01, (y - last[1]) * 0.01);
      last = [x, y];
    }, (dx, dy) => turn(-0.1 * dx, -0.1 * dy));
    canvas.style.touchAction = "pan-y";
  }

  return { view, faces, line, turned };
})();
