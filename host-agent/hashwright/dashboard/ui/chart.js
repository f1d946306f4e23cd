// A chart over time on uPlot: a line with its band, what is expected beside it, in the colours of the theme.
import uPlot from "./vendor/uplot.js";
import { html, useEffect, useLayoutEffect, useRef } from "./lib.js";
import { clock } from "./format.js";

export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
/** The colours are written #rrggbb. */
export const faint = (name) => `${colour(name)}33`;

/**
 * `lines`: [{ name, colour, dash?, width?, hidden? }], `band`: [upper, lower, colour] by position of the lines from 1,
 * `data`: [times, values...], `format(value)`: for axis and legend, `span`: [from, to] of the time axis.
 */
export function Chart({ lines, band, data, format, label, span, floor, height = 260 }) {
  const latest = useRef();
  latest.current = { format, span };
  const make = (width) => options(lines, band, latest, width, height, floor);
  return html`<${Plot} options=${make} data=${data} shape=${JSON.stringify([lines, band, floor])} label=${label} height=${height} />`;
}

/**
 * A uPlot that stays as wide as its place and in the colours of the theme. `options(width)` is asked for when it is made,
 * which is done again when `shape` is another text.
 */
export function Plot({ options, data, shape, label, height }) {
  const place = useRef();
  const chart = useRef();
  const latest = useRef();
  latest.current = { options, data };

  useEffect(() => {
    const box = place.current;
    const make = () => {
      chart.current?.destroy();
      chart.current = new uPlot(latest.current.options(box.clientWidth), latest.current.data, box);
    };
    make();
    const sizes = new ResizeObserver(() => chart.current.setSize({ width: box.clientWidth, height }));
    sizes.observe(box);
    const themes = new MutationObserver(make);
    themes.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", make);
    return () => {
      sizes.disconnect();
      themes.disconnect();
      dark.removeEventListener("change", make);
      chart.current.destroy();
      chart.current = null;
    };
  }, [shape, height]);

  useLayoutEffect(() => chart.current?.setData(data), [data, shape]);

  return html`<div class="chart" role="img" aria-label=${label} ref=${place}></div>`;
}

/** What all axes have in common. */
export const axis = () => ({ stroke: colour("muted"), grid: { stroke: colour("grid"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" });

function options(lines, band, latest, width, height, floor) {
  const say = (value) => (value === null || value === undefined ? "–" : latest.current.format(value));
  return {
    width,
    height,
    cursor: { drag: { x: false, y: false }, points: { size: 7 } },
    legend: { live: true },
    hooks: { setCursor: [rest], setData: [rest] },
    scales: {
      x: { time: true, range: (_, low, high) => latest.current.span?.() ?? [low, high] },
      y: { range: (_, low, high) => limits(low, high, floor) },
    },
    axes: [
      { ...axis(), space: 70, size: 34, values: (_, ticks, __, ___, step) => ticks.map((tick) => when(tick, step)) },
      { ...axis(), size: 78, values: (_, ticks) => ticks.map((tick) => latest.current.format(tick)) },
    ],
    series: [
      { value: (_, at) => (at === null ? "" : clock(at)) , label: "Time" },
      ...lines.map((line) => ({
        label: line.name,
        stroke: line.width === 0 ? "transparent" : colour(line.colour),
        width: line.width ?? 2,
        dash: line.dash,
        points: { show: false },
        spanGaps: false,
        value: (_, value) => say(value),
        class: line.width === 0 ? "u-edge" : undefined,
      })),
    ],
    bands: band ? [{ series: [band[0], band[1]], fill: faint(band[2]) }] : undefined,
  };
}

/** Without a pointer over the chart, its legend tells of now. */
function rest(chart) {
  if (chart.cursor.idx !== null && chart.cursor.idx !== undefined) return;
  let last = chart.data[0].length - 1;
  while (last > 0 && chart.data[1][last] === null) last -= 1;
  chart.setLegend({ idx: last < 0 ? null : last }, false);
}

/** A little air above and below; rates start at zero where they are near it. */
function limits(low, high, floor) {
  if (low === null || high === null) return [0, 1];
  if (floor !== undefined && low < high * 0.6) low = floor;
  const air = (high - low || Math.abs(high) * 0.1 || 1) * 0.12;
  const bottom = low - air;
  return [floor !== undefined && bottom < floor ? floor : bottom, high + air];
}

function when(at, step) {
  const date = new Date(at * 1000);
  if (step >= 86400 || (date.getHours() === 0 && date.getMinutes() === 0 && step >= 3600)) return date.toLocaleDateString([], { day: "numeric", month: "short" });
  return date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", ...(step < 60 && { second: "2-digit" }), hourCycle: "h23" });
}
