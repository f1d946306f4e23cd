// What boards can do from least to most power, by their own models: the line with its interval, where the tuner is,
// what is measured, what is aimed at and what bounds it.
import { html, useRef } from "./lib.js";
import { Plot, axis, colour, faint } from "./chart.js";
import { NONE, unit } from "./format.js";

/** What can stand over the power. */
export const CURVES = {
  efficiency: { name: "Efficiency", of: ({ j_per_th: value }) => value, at: (point) => (point.ths > 0 ? point.watts / point.ths : null), format: (value) => unit(value, "J/TH") },
  hashrate: { name: "Hashrate", of: ({ ths: value }) => value, at: (point) => point.ths, format: (value) => unit(value, "TH/s", value < 10 ? 2 : 1) },
};

export const power = (watts) => unit(watts, "W", watts < 100 ? 1 : 0);

/**
 * `points`: predictions by rising power; `spots`: [{ name, kind, watts, ths }]; `lines`: [{ name, kind, watts }], across
 * the chart at that power.
 */
export function Curve({ points, view, spots, lines, height = 270 }) {
  const { of, at, format, name } = CURVES[view];
  const sorted = points.filter((point, i) => i === 0 || point.watts[0] > points[i - 1].watts[0]);
  const value = (index) => sorted.map((point) => of(point)[index]);
  const data = [sorted.map((point) => point.watts[0]), value(0), value(2), value(1)];
  const marks = { spots: spots.map((spot) => ({ ...spot, y: at(spot) })).filter((spot) => spot.y !== null), lines };
  const latest = useRef();
  latest.current = { marks, format };
  const shape = JSON.stringify([view, data, marks]);
  const make = (width) => options({ width, height, name, latest });
  const first = sorted[0];
  const last = sorted.at(-1);
  const label = `${name} over power, from ${format(of(first)[0])} at ${power(first.watts[0])} to ${format(of(last)[0])} at ${power(last.watts[0])}`;
  return html`<div class="curve"><${Plot} options=${make} data=${data} shape=${shape} label=${label} height=${height} /></div>
    <ul class="marks">${marks.spots.map((spot) => html`<li key=${spot.name}><i class=${spot.kind}></i>${spot.name}: <b>${power(spot.watts)}</b>, <b>${format(spot.y)}</b></li>`)}
      ${lines.map((line) => html`<li key=${line.name}><i class=${`line ${line.kind}`}></i>${line.name}: <b>${power(line.watts)}</b></li>`)}</ul>
    <details class="more"><summary>The curve in numbers</summary><div class="scroll"><table>
      <thead><tr><th scope="col" class="number">Power</th><th scope="col" class="number">Hashrate</th><th scope="col" class="number">Efficiency</th><th scope="col" class="number">Clock</th><th scope="col" class="number">Voltage</th></tr></thead>
      <tbody>${sorted.map((point) => html`<tr key=${point.watts[0]}><td class="number">${power(point.watts[0])}</td><td class="number">${spread(point.ths, 2)} TH/s</td>
        <td class="number">${spread(point.j_per_th, 2)} J/TH</td><td class="number">${unit(point.mhz, "MHz", 0)}</td><td class="number">${unit(point.mv, "mV", 0)}</td></tr>`)}</tbody></table></div>
      <p class="muted small">Ranges hold 19 times out of 20, as far as the boards are known.</p></details>`;
}

/** 98.2 (97.5 – 99.0) */
export const spread = ([likely, low, high], digits) => [likely, low, high].every(Number.isFinite) ? `${likely.toFixed(digits)} (${low.toFixed(digits)}–${high.toFixed(digits)})` : NONE;

function options({ width, height, name, latest }) {
  const say = (value) => (value === null || value === undefined ? NONE : latest.current.format(value));
  const edge = { stroke: "transparent", width: 0, points: { show: false }, class: "u-edge" };
  return {
    width,
    height,
    cursor: { drag: { x: false, y: false }, points: { size: 7 } },
    legend: { live: true },
    hooks: { draw: [(chart) => draw(chart, latest.current.marks)] },
    scales: {
      x: { time: false, range: (_, low, high) => air(low, high, [...latest.current.marks.spots, ...latest.current.marks.lines].map((mark) => mark.watts)) },
      y: { range: (_, low, high) => air(low, high, latest.current.marks.spots.map((mark) => mark.y)) },
    },
    axes: [
      { ...axis(), space: 70, size: 34, values: (_, ticks) => ticks.map((tick) => unit(tick, "W", Number.isInteger(tick) ? 0 : 1)) },
      { ...axis(), size: 86, values: (_, ticks) => ticks.map(say) },
    ],
    series: [
      { label: "Power", value: (_, at) => power(at) },
      { label: name, stroke: colour("accent"), width: 2.5, points: { show: false }, value: (_, value) => say(value) },
      { label: "low", ...edge },
      { label: "high", ...edge },
    ],
    bands: [{ series: [2, 3], fill: faint("accent") }],
  };
}

function air(low, high, more) {
  if (low === null || high === null) return [0, 1];
  const all = [low, high, ...more.filter(Number.isFinite)];
  const [least, most] = [Math.min(...all), Math.max(...all)];
  const room = (most - least || Math.abs(most) * 0.1 || 1) * 0.07;
  return [least - room, most + room];
}

/** Where the boards are, and what they are meant to be, over the line. */
function draw(chart, { spots, lines }) {
  const { ctx, bbox } = chart;
  const ratio = devicePixelRatio || 1;
  const x = (watts) => chart.valToPos(watts, "x", true);
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  for (const line of lines) {
    ctx.strokeStyle = colour(line.kind);
    ctx.lineWidth = 1.5 * ratio;
    ctx.setLineDash([6 * ratio, 5 * ratio]);
    ctx.beginPath();
    ctx.moveTo(x(line.watts), bbox.top);
    ctx.lineTo(x(line.watts), bbox.top + bbox.height);
    ctx.stroke();
  }
  ctx.setLineDash([]);
  for (const spot of spots) {
    ctx.beginPath();
    ctx.arc(x(spot.watts), chart.valToPos(spot.y, "y", true), (spot.kind === "now" ? 5.5 : 7) * ratio, 0, 2 * Math.PI);
    ctx.lineWidth = 2.5 * ratio;
    ctx.strokeStyle = colour(spot.kind === "now" ? "panel" : "accent");
    ctx.fillStyle = colour(spot.kind === "now" ? "info" : "panel");
    ctx.fill();
    ctx.stroke();
  }
  ctx.restore();
}
