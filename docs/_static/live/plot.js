/* Axes, words with subscripts, curves and heat maps on a canvas. */
"use strict";
const plot = (() => {
  // viridis, Smith and van der Walt (2015), at nine places: light and dark as well as colour tell the value
  const VIRIDIS = [
    [68, 1, 84], [71, 45, 123], [59, 82, 139], [44, 114, 142], [33, 145, 140], [40, 174, 128], [94, 201, 98],
    [173, 220, 48], [253, 231, 37],
  ];

  function viridis(share) {
    const place = Math.min(Math.max(share, 0), 1) * 8;
    const low = Math.min(Math.floor(place), 7);
    return VIRIDIS[low].map((from, channel) => from + (place - low) * (VIRIDIS[low + 1][channel] - from));
  }

  /** Words, where *F* is slanted and _β is a subscript. */
  function text(context, words, x, y, { align = "center", colour, size = 13, turned = false } = {}) {
    const parts = words.split(/(\*[^*]+\*|_.)/).filter(Boolean).map((part) => {
      if (part[0] === "*") return { part: part.slice(1, -1), font: `italic ${size}px ${context.family}`, drop: 0 };
      if (part[0] === "_") return { part: part[1], font: `${size * 0.75}px ${context.family}`, drop: size * 0.25 };
      return { part, font: `${size}px ${context.family}`, drop: 0 };
    });
    context.save();
    context.translate(x, y);
    if (turned) context.rotate(-Math.PI / 2);
    context.textBaseline = "alphabetic";
    context.textAlign = "left";
    context.fillStyle = colour;
    for (const piece of parts) {
      context.font = piece.font;
      piece.width = context.measureText(piece.part).width;
    }
    const whole = parts.reduce((sum, piece) => sum + piece.width, 0);
    let at = align === "center" ? -whole / 2 : align === "right" ? -whole : 0;
    for (const piece of parts) {
      context.font = piece.font;
      context.fillText(piece.part, at, piece.drop);
      at += piece.width;
    }
    context.restore();
    return whole;
  }

  /** Axes in a box; `x` and `y` are {from, to, ticks, label}, a tick is a number or [number, its text]. */
  function axes(context, box, x, y, colours, grid = true) {
    const across = (value) => box.left + ((value - x.from) / (x.to - x.from)) * box.width;
    const up = (value) => box.top + box.height - ((value - y.from) / (y.to - y.from)) * box.height;
    const pair = (tick) => (Array.isArray(tick) ? tick : [tick, String(tick).replace("-", "−")]);
    context.lineWidth = 1;
    for (const [value, words] of x.ticks.map(pair)) {
      segment(context, across(value), box.top + (grid ? 0 : box.height), across(value), box.top + box.height + 4,
        colours.grid);
      text(context, words, across(value), box.top + box.height + 17, { colour: colours.muted, size: 12 });
    }
    for (const [value, words] of y.ticks.map(pair)) {
      segment(context, box.left - 4, up(value), box.left + (grid ? box.width : 0), up(value), colours.grid);
      text(context, words, box.left - 7, up(value) + 4, { colour: colours.muted, size: 12, align: "right" });
    }
    context.strokeStyle = colours.line;
    context.strokeRect(box.left, box.top, box.width, box.height);
    text(context, x.label, box.left + box.width / 2, box.top + box.height + 34, { colour: colours.ink });
    if (y.label) {
      text(context, y.label, 13, box.top + box.height / 2, { colour: colours.ink, turned: true });
    }
    return { across, up, box, x, y };
  }

  function segment(context, x1, y1, x2, y2, colour) {
    context.strokeStyle = colour;
    context.beginPath();
    context.moveTo(x1, y1);
    context.lineTo(x2, y2);
    context.stroke();
  }

  /** A curve through the points (x, y) of a panel with `axes`, cut at its frame. */
  function curve(context, axes, points, colour, width = 2, dashes = []) {
    context.save();
    context.beginPath();
    context.rect(axes.box.left, axes.box.top, axes.box.width, axes.box.height);
    context.clip();
    context.beginPath();
    points.forEach(([x, y], index) => context[index ? "lineTo" : "moveTo"](axes.across(x), axes.up(y)));
    context.setLineDash(dashes);
    [context.strokeStyle, context.lineWidth, context.lineJoin] = [colour, width, "round"];
    context.stroke();
    context.restore();
  }

  function dot(context, x, y, radius, fill, edge) {
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    [context.fillStyle, context.strokeStyle, context.lineWidth] = [fill, edge, 1.5];
    context.fill();
    if (edge) context.stroke();
  }

  /** An image of rows × columns values in [0, 1], the first row at the top, in a box. */
  function image(context, box, rows, columns, colourAt, smooth) {
    const small = document.createElement("canvas");
    [small.width, small.height] = [columns, rows];
    const pixels = new ImageData(columns, rows);
    for (let index = 0; index < rows * columns; index += 1) {
      pixels.data.set([...colourAt(index), 255], 4 * index);
    }
    small.getContext("2d").putImageData(pixels, 0, 0);
    context.imageSmoothingEnabled = smooth;
    context.imageSmoothingQuality = "high";
    context.drawImage(small, box.left, box.top, box.width, box.height);
  }

  /** The red, green and blue of a colour like #0063a8. */
  const channels = (colour) => [1, 3, 5].map((from) => parseInt(colour.slice(from, from + 2), 16));

  return { text, axes, segment, curve, dot, image, viridis, channels };
})();
