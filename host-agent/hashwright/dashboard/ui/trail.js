// The last minutes as they came, for the live charts; before them what the miner's history knows.

const KEPT_S = 15 * 60;
const METRICS = ["hashrate_hps", "sigma_hps", "expected_hps", "power_w", "temperature_c", "fan_percent", "efficiency_j_th"];
/** Seconds over which the live rate is taken. */
const WINDOW_S = 60;

let trail = [];

/** Notes the newest state. */
export function record(state) {
  const at = state.system.started_unix_s ? state.system.started_unix_s + state.system.uptime_s : Date.now() / 1000;
  if (trail.length && at <= trail.at(-1).at) {
    // The same moment again, or a clock that was set back.
    if (at > trail.at(-1).at - 5) return;
    trail = [];
  }
  trail.push({ at, miner: ofMiner(state), boards: state.boards.map(ofBoard) });
  while (trail[0].at < at - KEPT_S) trail.shift();
}

export function forget() {
  trail = [];
}

/** Puts what the history says before what came live; values of one second each. */
export function precede(history) {
  const values = Object.fromEntries(history.metrics.map((metric) => [metric.metric, metric.values]));
  const first = trail[0]?.at ?? Infinity;
  const length = history.covered_s.length;
  const older = [];
  for (let i = 0; i < length; i++) {
    const at = history.from + (i + 1) * history.step_s;
    if (at >= first || !history.covered_s[i]) continue;
    const miner = Object.fromEntries(METRICS.map((name) => [name, values[name]?.[i] ?? null]));
    Object.assign(miner, smoothed(values, i, Math.max(1, Math.round(WINDOW_S / history.step_s))));
    miner.efficiency_j_th = efficiency(miner.power_w, miner.hashrate_hps);
    older.push({ at, miner, boards: [] });
  }
  trail = [...older, ...trail];
}

/** [times, values...] of the miner or of a board. */
export function live(metrics, board) {
  const columns = [trail.map((point) => point.at)];
  for (const metric of metrics) {
    columns.push(trail.map((point) => (board === undefined ? point.miner : point.boards[board])?.[metric] ?? null));
  }
  return columns;
}

function ofMiner({ miner, boards }) {
  const fans = boards.map((board) => board.fan_percent).filter((duty) => duty !== null);
  return {
    hashrate_hps: miner.hashrate.m1.hps,
    sigma_hps: miner.hashrate.m1.sigma_hps,
    expected_hps: miner.expected_hps,
    power_w: miner.power_w ?? null,
    temperature_c: miner.hottest_c ?? null,
    fan_percent: fans.length ? Math.max(...fans) : null,
    efficiency_j_th: miner.efficiency_j_th ?? null,
  };
}

function ofBoard(board) {
  return {
    hashrate_hps: board.hashrate.m1.hps,
    sigma_hps: board.hashrate.m1.sigma_hps,
    expected_hps: board.expected_hps,
    power_w: board.power_w,
    temperature_c: board.temperature_c,
    fan_percent: board.fan_percent,
    efficiency_j_th: efficiency(board.power_w, board.hashrate.m1.hps),
  };
}

const efficiency = (watts, hps) => (watts > 0 && hps > 0 ? watts / (hps / 1e12) : null);

/** Mean of the last values and its error, as the agent's one-minute window has them. */
function smoothed({ hashrate_hps: rates, sigma_hps: sigmas }, at, count) {
  let sum = 0;
  let variance = 0;
  let n = 0;
  for (let i = Math.max(0, at - count + 1); i <= at; i++) {
    if (typeof rates?.[i] !== "number") continue;
    sum += rates[i];
    variance += (sigmas?.[i] ?? 0) ** 2;
    n += 1;
  }
  return n ? { hashrate_hps: sum / n, sigma_hps: Math.sqrt(variance) / n } : { hashrate_hps: null, sigma_hps: null };
}
