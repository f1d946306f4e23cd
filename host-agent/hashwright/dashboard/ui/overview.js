// The first thing to see: how fast, how sure, at what cost, and how that went over time.
import { html, memo, useEffect, useMemo, useState } from "./lib.js";
import { Choice, Meter, Tile } from "./widgets.js";
import { Chart } from "./chart.js";
import { call, may, state, words } from "./store.js";
import { live, precede } from "./trail.js";
import { NONE, ago, duration, percent, rate, rateParts, short, unit, whole } from "./format.js";

const WINDOWS = [["s5", "5 s"], ["m1", "1 min"], ["m10", "10 min"], ["h1", "1 h"]];
const SPANS = [["live", "Live"], ["3600", "1 h"], ["86400", "24 h"], ["604800", "7 d"], ["31536000", "1 y"]];
const LIVE_S = 600;

/** What can be charted: the metrics of its lines, and how to write them. */
const VIEWS = {
  hashrate: {
    name: "Hashrate", metrics: ["hashrate_hps", "sigma_hps", "expected_hps"], floor: 0, format: rate, band: [2, 3, "accent"],
    columns: ([t, mean, sigma, expected]) => [t, mean, edge(mean, sigma, 2), edge(mean, sigma, -2), expected],
    lines: [{ name: "Hashrate", colour: "accent", width: 2.5 }, { name: "+2 σ", colour: "accent", width: 0 }, { name: "−2 σ", colour: "accent", width: 0 }, { name: "Expected", colour: "muted", dash: [6, 5], width: 1.5 }],
  },
  power: simple("Power", "power_w", "info", (value) => unit(value, "W", value < 100 ? 1 : 0)),
  efficiency: {
    name: "Efficiency", metrics: ["power_w", "hashrate_hps"], format: (value) => unit(value, "J/TH"),
    columns: ([t, watts, hps]) => [t, watts.map((w, i) => (w > 0 && hps[i] > 0 ? w / (hps[i] / 1e12) : null))],
    lines: [{ name: "Efficiency", colour: "good" }],
  },
  temperature: simple("Heat", "temperature_c", "bad", (value) => unit(value, "°C")),
  fans: { ...simple("Fans", "fan_percent", "good", (value) => unit(value, "%", 0)), floor: 0 },
};

function simple(name, metric, colour, format) {
  return { name, metrics: [metric], format, columns: (columns) => columns, lines: [{ name, colour }] };
}

const edge = (mean, sigma, times) => mean.map((value, i) => (value === null || sigma[i] === null ? null : Math.max(0, value + times * sigma[i])));

export function Overview({ miner }) {
  const [window, setWindow] = useState("m1");
  const { miner: sum, system } = miner;
  const { hps, sigma_hps: sigma } = sum.hashrate[window];
  const [value, spread, name] = rateParts(hps, sigma);
  const share = sum.expected_hps > 0 ? hps / sum.expected_hps : null;
  return html`<section id="overview" aria-labelledby="overview-title">
    <div class="hero panel">
      <div class="figure">
        <h2 id="overview-title">Hashrate</h2>
        <p class="big" aria-live="off"><b>${value}</b> <span>${name}</span></p>
        <p class="spread">${spread === null ? "" : html`± ${spread} ${name} <abbr title="Two standard deviations of counting nonces: the true rate is within it 19 times out of 20.">2 σ</abbr>`}</p>
        <${Choice} label="Time over which the hashrate is measured" value=${window} options=${WINDOWS} onChange=${setWindow} />
        <${Meter} label="Hashrate against expectation" value=${hps} max=${Math.max(sum.expected_hps * 1.1, 1)} text=${percent(share)}
          kind=${share === null || share > 0.9 ? "good" : share > 0.6 ? "warn" : "bad"} marks=${[{ at: sum.expected_hps, name: "expected", kind: "calm" }]} />
        <p class="muted">${sum.expected_hps > 0 ? html`<b>${percent(share)}</b> of ${rate(sum.expected_hps)} expected at the clocks of now` : "Nothing is expected: no chip runs."}</p>
        ${sum.simulated && html`<p class="simulated"><b>Simulated.</b> Boards that only exist in software: rates are scaled up and earn nothing.</p>`}
      </div>
      <${Trend} boards=${miner.boards.length} remembers=${may("history.query") && state.history?.enabled === true} />
    </div>
    <${Tiles} miner=${miner} uptime=${system.uptime_s} />
  </section>`;
}

function Tiles({ miner: { miner, boards, stations, pools }, uptime }) {
  const cooling = stations.map((station) => station.status.cooling).filter((one) => one.temperature_c !== null);
  const hottest = cooling.sort((a, b) => a.limit_c - a.temperature_c - (b.limit_c - b.temperature_c))[0];
  const fans = stations.flatMap((station) => station.status.fans);
  const troubled = fans.filter((fan) => fan.trouble);
  const turning = fans.map((fan) => fan.rpm).filter((rpm) => rpm !== null);
  const shares = miner.accepted + miner.rejected;
  const errors = miner.nonces.valid + miner.nonces.hardware_errors;
  const last = Math.max(-1, ...pools.map((pool) => pool.last_share_s ?? -1));
  const running = boards.filter((board) => board.state === "mining").length;
  return html`<dl class="tiles">
    <${Tile} name="Power" value=${unit(miner.power_w, "W", miner.power_w < 100 ? 1 : 0)} note=${miner.power_w === null ? "nothing measures it" : "at the input"} />
    <${Tile} name="Efficiency" value=${unit(miner.efficiency_j_th, "J/TH")} note="energy per terahash" />
    <${Tile} name="Hottest" value=${unit(hottest?.temperature_c ?? miner.hottest_c, "°C")}
      kind=${hottest && (hottest.temperature_c >= hottest.hot_c ? "bad" : hottest.temperature_c > hottest.target_c + 5 ? "warn" : "")}
      note=${hottest ? `power is cut at ${unit(hottest.limit_c, "°C", 0)}` : "nothing measures it"}>
      ${hottest && html`<${Meter} label="Hottest temperature" min=${20} max=${hottest.limit_c} value=${hottest.temperature_c} text=${unit(hottest.temperature_c, "°C")} kind=${heat(hottest)}
        marks=${[{ at: hottest.target_c, name: "target", kind: "calm" }, { at: hottest.hot_c, name: "throttled from here", kind: "warn" }]} />`}<//>
    <${Tile} name="Fans" value=${fans.length ? unit(Math.max(...fans.map((fan) => fan.duty_percent)), "%", 0) : NONE} kind=${troubled.length && "bad"}
      note=${troubled.length ? `${troubled[0].name} ${troubled[0].trouble}` : turning.length ? `${whole(Math.min(...turning))} rpm, the slowest of ${turning.length}` : "none to watch"} />
    <${Tile} name="Shares accepted" value=${whole(miner.accepted)} kind=${shares > 20 && miner.rejected / shares > 0.03 && "warn"}
      note=${`${whole(miner.rejected)} rejected (${percent(shares ? miner.rejected / shares : 0, 1)}), last ${last < 0 ? "none yet" : ago(uptime - last)}`} />
    <${Tile} name="Best share" value=${short(miner.best_difficulty)} note=${miner.found_blocks ? `${miner.found_blocks} blocks found` : "difficulty, this run"} kind=${miner.found_blocks && "good"} />
    <${Tile} name="Hardware errors" value=${percent(errors ? miner.nonces.hardware_errors / errors : 0, 2)} kind=${errors > 200 && miner.nonces.hardware_errors / errors > 0.02 && "warn"}
      note=${`${whole(miner.nonces.hardware_errors)} of ${whole(errors)} nonces`} />
    <${Tile} name="Boards" value=${`${running} of ${boards.length}`} note=${`mining, up for ${duration(uptime)}`} kind=${running < boards.length && miner.state === "degraded" && "warn"} />
  </dl>`;
}

export const heat = ({ temperature_c: now, target_c: target, hot_c: hot }) => (now >= hot ? "bad" : now > target + 5 ? "warn" : "good");

/** A chart of what was, from the last minutes to a year. */
const Trend = memo(function Trend({ boards, remembers }) {
  const [view, setView] = useState("hashrate");
  const [span, setSpan] = useState("live");
  const [board, setBoard] = useState(-1);
  const { columns, note, now } = useSeries(VIEWS[view], span, board);
  const { lines, band, format, floor, name } = VIEWS[view];
  const data = useMemo(() => VIEWS[view].columns(columns), [columns, view]);
  const spans = remembers ? SPANS : SPANS.slice(0, 1);
  const newest = data[1]?.findLast((value) => value !== null);
  return html`<div class="trend">
    <div class="controls">
      <${Choice} label="What to chart" value=${view} options=${Object.entries(VIEWS).map(([key, { name }]) => [key, name])} onChange=${setView} />
      <${Choice} label="Time to chart" value=${span} options=${spans} onChange=${setSpan} />
      ${boards > 1 && html`<label class="field inline"><span class="hidden">Chart of</span><select value=${board} onChange=${(event) => setBoard(Number(event.currentTarget.value))}>
        <option value="-1">whole miner</option>${Array.from({ length: boards }, (_, i) => html`<option key=${i} value=${i}>board ${i}</option>`)}</select></label>`}
    </div>
    <${Chart} lines=${lines} band=${band} data=${data} format=${format} floor=${floor} span=${() => now(Number(span))}
      label=${`${name} over time${newest === undefined ? "" : `, now ${format(newest)}`}`} />
    ${note && html`<p class="muted note">${note}</p>`}
  </div>`;
});

/** The columns for a view: from this page's memory when live, else from the miner's history. */
function useSeries({ metrics }, span, board) {
  const [kept, setKept] = useState({ columns: [[], ...metrics.map(() => [])], note: null, key: null });
  const key = `${metrics}/${span}/${board}`;
  useEffect(() => {
    let here = true;
    const draw = (columns, note = null) => here && setKept({ columns, note, key });
    const look = () => draw(live(metrics, board < 0 ? undefined : board));
    const ask = async () => {
      try {
        const reply = await call("history.query", { last_s: Number(span), metrics, points: 500, ...(board >= 0 && { board }) });
        const values = Object.fromEntries(reply.metrics.map((one) => [one.metric, one.values]));
        const times = reply.covered_s.map((_, i) => reply.from + i * reply.step_s);
        const empty = times.map(() => null);
        const nothing = !reply.covered_s.some((seconds) => seconds > 0);
        draw([times, ...metrics.map((metric) => values[metric] ?? empty)], nothing ? "The history has nothing of this time yet." : reply.notes.join(" "));
      } catch (error) {
        draw([[], ...metrics.map(() => [])], words(error));
      }
    };
    const isLive = span === "live";
    if (!isLive) setKept((old) => ({ ...old, note: "Asking the history …" }));
    isLive ? look() : ask();
    const timer = setInterval(isLive ? look : ask, isLive ? 1000 : span === "3600" ? 10_000 : 60_000);
    return () => {
      here = false;
      clearInterval(timer);
    };
  }, [key]);
  const columns = kept.key === key ? kept.columns : [[], ...metrics.map(() => [])];
  const end = columns[0].at(-1) ?? Date.now() / 1000;
  return { columns, note: kept.note, now: (seconds) => [end - (seconds || LIVE_S), end] };
}

/** Has the live chart begin with what the miner remembers. */
export async function recall() {
  if (!may("history.query") || !state.history?.enabled) return;
  try {
    const metrics = ["hashrate_hps", "sigma_hps", "expected_hps", "power_w", "temperature_c", "fan_percent"];
    precede(await call("history.query", { last_s: LIVE_S + 60, step_s: 1, points: LIVE_S + 90, metrics }));
  } catch {
    // The live chart begins now then.
  }
}
