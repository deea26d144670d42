/* What the live pictures share: panels that are sharp on every screen, controls, axes, dragging and colours.

A picture is one function `draw(stage, data)`, given to `live.start`: `stage` holds the places for controls and panels,
`data` what the library has computed (docs/live_data.py). Without this file the page shows its still picture. */
"use strict";
const live = (() => {
  const NAMES = ["ink", "muted", "grid", "paper", "line", "hot", "cold", "accent", "fill"];
  const paints = [];
  new MutationObserver(() => paints.forEach((paint) => paint()))
    .observe(document.documentElement, { attributeFilter: ["data-theme"] });

  function element(tag, parent, attributes = {}, text = "") {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.textContent = text;
    parent.append(made);
    return made;
  }

  /** Show every figure of this name, drawn by `draw`. */
  function start(name, draw) {
    for (const figure of document.querySelectorAll(`figure.live[data-live="${name}"]`)) {
      const caption = figure.querySelector("figcaption");
      const place = (kind) => {
        const made = element("div", figure, { class: kind });
        caption.before(made);
        return made;
      };
      const stage = { figure, controls: place("live-controls"), panels: place("live-panels") };
      stage.readout = element("p", figure, { class: "live-readout", "aria-live": "polite" });
      caption.before(stage.readout);
      figure.hidden = false;
      draw(stage, JSON.parse(figure.querySelector("script").textContent));
    }
  }

  function colours(node) {
    const style = getComputedStyle(node);
    return Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--live-${name}`).trim()]));
  }

  /** A canvas, `tall(width)` high; `draw(context, width, height, colours)` in pixels of the page. */
  function panel(stage, label, tall, draw, least = "15rem", grow = 1) {
    const frame = element("div", stage.panels, { class: "live-panel" });
    frame.style.setProperty("--live-least", least);
    frame.style.flexGrow = grow;
    const canvas = element("canvas", frame, { role: "img", "aria-label": label });
    let waiting = false;
    function paint() {
      waiting = false;
      const [width, ratio] = [frame.clientWidth, window.devicePixelRatio || 1];
      if (!width) return;
      const height = Math.round(tall(width));
      canvas.style.height = `${height}px`;
      [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
      const context = canvas.getContext("2d");
      context.setTransform(canvas.width / width, 0, 0, canvas.height / height, 0, 0);
      context.family = getComputedStyle(canvas).fontFamily;
      draw(context, width, height, colours(canvas));
    }
    const redraw = () => {
      if (!waiting) requestAnimationFrame(paint);
      waiting = true;
    };
    new ResizeObserver(redraw).observe(frame);
    paints.push(redraw);
    return { canvas, redraw };
  }

  /** A range input; `say(value)` is its value in words. */
  function slider(stage, label, { min, max, step, value, say }, changed) {
    const row = element("label", stage.controls, { class: "live-slider" });
    element("span", row, {}, label);
    const input = element("input", row, { type: "range", min, max, step, value });
    const output = element("output", row);
    const tell = () => {
      output.textContent = say(+input.value);
      input.setAttribute("aria-valuetext", say(+input.value));
    };
    input.addEventListener("input", () => { tell(); changed(+input.value); });
    tell();
    const set = (next) => { input.value = next; tell(); changed(+input.value); };
    return { input, set, limit: (most) => { input.max = most; tell(); } };
  }

  /** Inverse temperature from 0 (hot) to infinity (cold): logarithmic between. */
  const betaAt = (place) => (place <= 0 ? 0 : place >= 120 ? Infinity : 0.03 * 10 ** ((4 * (place - 1)) / 118));
  const sayBeta = (beta) => `β = ${beta === Infinity ? "∞ (cold)" : beta === 0 ? "0 (hot)" : beta.toPrecision(2)}`;
  const betaSlider = (stage, place, changed) =>
    slider(stage, "hot → cold", { min: 0, max: 120, step: 1, value: place, say: (at) => sayBeta(betaAt(at)) },
      (at) => changed(betaAt(at)));

  function button(stage, text, pressed) {
    const made = element("button", stage.controls, { type: "button" }, text);
    made.addEventListener("click", () => pressed(made));
    return made;
  }

  /** One of several, as radio buttons. */
  function choice(stage, legend, names, chosen, changed) {
    const field = element("fieldset", stage.controls);
    element("legend", field, {}, legend);
    const group = `live-${Math.random().toString(36).slice(2)}`;
    names.forEach((name, index) => {
      const label = element("label", field);
      const input = element("input", label, { type: "radio", name: group });
      input.checked = index === chosen;
      input.addEventListener("change", () => changed(index));
      element("span", label, {}, name);
    });
  }

  /** A button that starts and stops `tick(seconds)`. It runs by itself where motion is welcome, and only in view. */
  function player(stage, [go, stop], tick, byItself = true) {
    let [running, visible, last] = [byItself && !matchMedia("(prefers-reduced-motion: reduce)").matches, false, null];
    const shown = button(stage, "", () => set(!running));
    function set(next) {
      running = next;
      shown.textContent = running ? stop : go;
    }
    function frame(now) {
      if (running && visible) tick(last === null ? 0 : Math.min((now - last) / 1000, 0.1));
      last = now;
      if (visible) requestAnimationFrame(frame);
    }
    new IntersectionObserver((entries) => {
      const was = visible;
      visible = entries[entries.length - 1].isIntersecting;
      if (visible && !was) requestAnimationFrame(frame);
    }).observe(stage.panels);
    set(running);
    return { set, running: () => running };
  }

  /** Dragging and arrow keys: `moved(x, y, first)` in pixels of the page, `nudged(dx, dy, key)` by keys. */
  function drag(canvas, label, moved, nudged, grabs = () => true) {
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-label", label);
    canvas.style.cursor = "grab";
    const at = (event) => {
      const box = canvas.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    let held = false;
    // a finger beside the point scrolls the page
    canvas.addEventListener("touchstart", (event) => {
      if (grabs(...at(event.touches[0]))) event.preventDefault();
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      if (event.pointerType === "touch" && !grabs(...at(event))) return;
      held = true;
      canvas.setPointerCapture(event.pointerId);
      moved(...at(event), true);
    });
    canvas.addEventListener("pointermove", (event) => { if (held) moved(...at(event), false); });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { held = false; });
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1], " ": [0, 0] };
    canvas.addEventListener("keydown", (event) => {
      if (!steps[event.key] || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      nudged(...steps[event.key], event.key);
    });
  }

  /** Uniform numbers in [0, 1) from a seed (mulberry32), so that a picture is the same each time. */
  function random(seed) {
    let state = seed >>> 0;
    return () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
    };
  }

  return { start, panel, slider, betaSlider, betaAt, sayBeta, button, choice, player, drag, random, element, math: {} };
})();
