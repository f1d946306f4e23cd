// What the miner is tuned for, what holds of that now and why, how far each tuner is, what the boards could do, and
// what was done why.
import { html, useEffect, useState } from "./lib.js";
import { Choice, Dial, Dialog, Fact, Field, Meter, Pill, Section } from "./widgets.js";
import { review } from "./change.js";
import { call, constraint, may, ponder, state, toast, words } from "./store.js";
import { CURVES, Curve, power, spread } from "./curve.js";
import { NONE, ago, clock, duration, percent, unit } from "./format.js";

const AIMS = [["watts", "Power"], ["hashrate", "Hashrate"], ["efficiency", "Efficiency"], ["profit", "Profit"], ["off", "Off"]];
const NOTES = {
  watts: "as much work as this input power gives",
  hashrate: "this much work with as little power as can be",
  efficiency: "the least energy for each hash",
  profit: "the most money left after power is paid",
  off: "clocks and voltage are as configured",
};
const REACHES = {
  too_little_power: "Even the lowest setting of these boards draws more than that. They run at the lowest.",
  too_much_work: "These boards cannot do that much within their limits and bounds. They do what they can.",
  too_much_power: "These boards cannot use that much power within their limits and bounds.",
  no_profit: "Power costs more than any setting earns. The setting that loses least is kept.",
};
const DOES = {
  off: "Nothing is tuned here.", waiting: "Waits to begin.", moving: "Goes to another setting, step by step.", measuring: "Counts what the chips do at this setting.",
  keeping: "Holds the best setting, watches, and corrects it.", held: "Holds the best setting that is known to be safe.",
};
const BOUNDS = [
  ["watts", "Power at most", "W", "tuner.max_watts"], ["chip_c", "Chips at most", "°C", "tuner.max_chip_c"],
  ["board_c", "Boards at most", "°C", "tuner.max_board_c"], ["fan_percent", "Fans at most", "%", "tuner.max_fan_percent"],
  ["mv", "Voltage at most", "mV", "tuner.max_mv"],
];

const kindOfAim = (aim) => (typeof aim === "string" ? aim : (Object.keys(aim ?? {})[0] ?? "off"));

/** An aim in a few words. */
export function aimText(aim) {
  const kind = kindOfAim(aim);
  if (kind === "watts") return power(aim.watts);
  if (kind === "hashrate") return unit(aim.hashrate, "TH/s", 2);
  return AIMS.find(([key]) => key === kind)?.[1] ?? kind;
}

/** The tuner that has a board, if it is at work. */
export const tunerOf = (miner, board) => miner.tuner?.stations.find((station) => station.boards.includes(board) && station.activity !== "off");

export function Tuner({ miner }) {
  const [asks, setAsks] = useState(null);
  const { tuner } = miner;
  const many = tuner.stations.length > 1;
  const close = () => setAsks(null);
  // A long chain takes the miner a moment: it is asked when something was learned, not when something moves.
  const key = tuner.stations.map((one) => `${one.activity === "off"} ${one.rounds}`).join();
  const curves = useAnswer("tuner.curve", { points: 16 }, key, 120, ponder);
  const span = spanOf(curves.reply);
  const aside = html`<div class="buttons">
    ${may("tuner.set") && html`<button type="button" onClick=${() => setAsks("aim")}>Aim and bounds …</button>`}
    ${may("tuner.curtail") && html`<button type="button" onClick=${() => setAsks("curtail")}>Curtail …</button>`}</div>`;
  return html`<${Section} id="tuner" title="Tuner" aside=${aside}>
    <div class="tuned">
      <div class="stack"><${Wanted} tuner=${tuner} />${many ? html`<${Together} tuner=${tuner} miner=${miner} />` : html`<${Station} tuner=${tuner.stations[0]} miner=${miner} />`}</div>
      <${Curves} tuner=${tuner} miner=${miner} curves=${curves} />
    </div>
    ${many && html`<div class="cards">${tuner.stations.map((one) => html`<${Station} key=${one.station} tuner=${one} miner=${miner} />`)}</div>`}
    <${Steps} tuner=${tuner} miner=${miner} />
    ${asks === "aim" && html`<${Aim} tuner=${tuner} span=${span} onClose=${close} />`}
    ${asks === "curtail" && html`<${Curtail} tuner=${tuner} miner=${miner} span=${span} onClose=${close} />`}
  <//>`;
}

/** What the owner wants, and what holds of that now. */
function Wanted({ tuner: { aim, caps, demand } }) {
  const kind = kindOfAim(aim);
  const bounds = BOUNDS.filter(([key]) => typeof caps[key] === "number");
  const tighter = typeof demand.caps.watts === "number" && demand.caps.watts !== caps.watts;
  const differs = demand.asleep || tighter || JSON.stringify(demand.aim) !== JSON.stringify(aim);
  const now = demand.asleep ? "asleep" : [JSON.stringify(demand.aim) !== JSON.stringify(aim) && aimText(demand.aim), tighter && `at most ${power(demand.caps.watts)}`].filter(Boolean).join(", ");
  const feeds = [
    ["Price of power", demand.price_per_kwh, "for a kWh", demand.price_age_s, 4], ["Revenue", demand.revenue_per_ths_day, "for a TH/s and day", null, 4],
    ["Surplus", demand.surplus_w, "W", demand.surplus_age_s, 0],
  ].filter(([, value]) => typeof value === "number");
  return html`<article class="panel card" aria-label="What the miner is tuned for">
    <header><div><p class="muted">Tuned for</p><p class="aim"><b>${aimText(aim)}</b></p><p class="muted">${NOTES[kind] ?? ""}${kind === "profit" && ` (${aim.profit.price_per_kwh} for a kWh, ${aim.profit.revenue_per_ths_day} for a TH/s and day)`}</p></div>
      <div class="pills">${demand.asleep ? html`<${Pill} word="asleep" />` : differs && html`<${Pill} word="limited" kind="warn" title="A rule makes what holds now differ from what the owner wants" />`}</div></header>
    ${bounds.length > 0 && html`<p class="muted small">${bounds.map(([key, name, sign]) => `${name.toLowerCase()} ${unit(caps[key], sign, 0)}`).join(" · ")}</p>`}
    ${differs && html`<p>Now: <b>${now}</b>${demand.next_change_unix_s !== null && html`<span class="muted"> until ${clock(demand.next_change_unix_s, false)}</span>`}</p>`}
    ${demand.reasons.length > 0 && html`<ul class="reasons" aria-label="Why it is not as the owner wants in general">${demand.reasons.map((reason) => html`<li key=${`${reason.code} ${reason.text}`}>${reason.text} <span class="muted">(${reason.code})</span></li>`)}</ul>`}
    ${!differs && demand.next_change_unix_s !== null && html`<p class="muted small">A rule changes it at ${clock(demand.next_change_unix_s, false)}.</p>`}
    ${feeds.length > 0 && html`<dl class="facts">${feeds.map(([name, value, sign, age, digits]) => html`<${Fact} key=${name} name=${name}>${sign === "W" ? unit(value, sign, digits) : html`${value.toFixed(digits)} <span class="muted">${sign}</span>`} ${typeof age === "number" && html`<span class="muted">· ${ago(age)}</span>`}<//>`)}</dl>`}
  </article>`;
}

/** What a tuner does, what it promises, and what is. */
function Station({ tuner, miner }) {
  const is = measured(tuner, miner);
  const off = tuner.activity === "off";
  const learned = tuner.watts > 0 && !off;
  const why = { waiting: "Waits", held: "Held" }[tuner.activity];
  const names = tuner.boards.map((board) => miner.boards[board]?.model ?? `board ${board}`);
  return html`<article class="panel card" aria-label=${`Tuner of ${tuner.boards.length > 1 ? "boards" : "board"} ${tuner.boards.join(", ")}`}>
    <header><div><h3>${[...new Set(names)].join(", ")}</h3><p class="muted">${tuner.boards.length > 1 ? "boards" : "board"} ${tuner.boards.join(", ")}</p></div>
      <div class="pills"><${Pill} word=${tuner.activity} /></div></header>
    <p>${why && tuner.because ? html`<b>${why}:</b> ${tuner.because}` : (DOES[tuner.activity] ?? tuner.because ?? "")}</p>
    ${typeof tuner.progress_percent === "number" && html`<div><${Meter} label="Learning" max=${100} value=${tuner.progress_percent} text=${percent(tuner.progress_percent / 100)} />
      <p class="muted small">learned ${percent(tuner.progress_percent / 100)}${typeof tuner.remaining_s === "number" && `, about ${duration(tuner.remaining_s)} to go`}</p></div>`}
    ${tuner.trouble && html`<p class="alert warn">${tuner.trouble}</p>`}
    ${!off && REACHES[tuner.reach] && html`<p class="alert warn">${REACHES[tuner.reach]}</p>`}
    <${Compare} promised=${learned ? tuner : null} is=${is} />
    ${learned && html`<dl class="facts">
      <${Fact} name="Voltage">${unit(tuner.mv, "mV", 0)}<//><${Fact} name="Mean clock">${unit(tuner.mhz, "MHz", 1)}<//>
      <${Fact} name="Settings measured">${tuner.rounds}<//><${Fact} name="May still be gained">${unit(tuner.regret_percent, "%", 2)}<//></dl>`}
    ${tuner.silent.length > 0 && html`<p class="alert warn">Silent: ${tuner.silent.slice(0, 12).map(({ board, chip }) => `chip ${chip} of board ${board}`).join(", ")}${tuner.silent.length > 12 && ` and ${tuner.silent.length - 12} more`}. They are counted as lost.</p>`}
  </article>`;
}

/** All boards in one, where several tuners share the work. */
function Together({ tuner, miner }) {
  const all = tuner.stations.map((one) => measured(one, miner));
  const is = { ths: all.reduce((sum, one) => sum + one.ths, 0), watts: all.every((one) => one.watts !== null) ? all.reduce((sum, one) => sum + one.watts, 0) : null };
  const whole = tuner.stations.every((one) => one.activity !== "off" && one.watts > 0);
  return html`<article class="panel card" aria-label="All boards together"><h3>All boards together</h3><${Compare} promised=${whole ? sumOf(tuner) : null} is=${is} /></article>`;
}

const FIGURES = [
  ["Power", (sum) => power(sum.watts)], ["Hashrate", (sum) => unit(sum.ths, "TH/s", 2)],
  ["Efficiency", (sum) => unit(sum.watts > 0 && sum.ths > 0 ? sum.watts / sum.ths : null, "J/TH", 2)],
];

/** What is promised beside what is. */
const Compare = ({ promised, is }) => html`<table class="compare"><thead><tr><td></td>${promised && html`<th scope="col" class="number">promised</th>`}<th scope="col" class="number">measured</th></tr></thead>
  <tbody>${FIGURES.map(([name, say]) => html`<tr key=${name}><th scope="row">${name}</th>${promised && html`<td class="number">${say(promised)}</td>`}<td class="number">${say(is)}</td></tr>`)}</tbody></table>`;

/** What the boards of a tuner do now, as far as it is measured. */
function measured(tuner, miner) {
  const station = miner.stations.find((one) => tuner.boards.every((board) => one.boards.includes(board)));
  const watts = station?.status.readings.find((reading) => reading.name === "input power")?.value ?? null;
  const hps = tuner.boards.reduce((sum, board) => sum + (miner.boards[board]?.hashrate.m1.hps ?? 0), 0);
  return { watts, ths: hps / 1e12 };
}

/** Asks the miner when `key` is another, and again after so many seconds. */
function useAnswer(method, params, key, every_s, ask_by = call) {
  const [kept, setKept] = useState({ reply: null, note: null });
  const open = state.line.name === "open";
  useEffect(() => {
    let here = true;
    const ask = async () => {
      try {
        const reply = await ask_by(method, params);
        if (here) setKept({ reply, note: null });
      } catch (error) {
        if (here) setKept((old) => ({ ...old, note: words(error) }));
      }
    };
    if (open && may(method)) ask();
    const timer = every_s && setInterval(() => open && !document.hidden && ask(), every_s * 1000);
    return () => {
      here = false;
      clearInterval(timer);
    };
  }, [key, open]);
  return kept;
}

/** What the boards of one tuner can do. */
function Curves({ tuner, miner, curves: { reply, note } }) {
  const [view, setView] = useState("efficiency");
  const [at, setAt] = useState(0);
  const { stations, demand } = tuner;
  const station = stations[at] ?? stations[0];
  const points = reply?.find((curve) => curve.station === station.station)?.points ?? [];
  const alone = stations.length === 1;
  const spots = [];
  if (station.watts > 0 && station.activity !== "off") spots.push({ name: "Promised", kind: "set", watts: station.watts, ths: station.ths });
  const is = measured(station, miner);
  if (is.watts > 0 && is.ths > 0) spots.push({ name: "Measured", kind: "now", ...is });
  const lines = [];
  const aimed = alone ? wattsOf(demand.aim, points) : null;
  if (aimed !== null) lines.push({ name: { watts: "Aim", efficiency: "Aim, the best efficiency" }[kindOfAim(demand.aim)] ?? `Aim, ${aimText(demand.aim)}`, kind: "good", watts: aimed });
  if (alone && typeof demand.caps.watts === "number" && points.length && demand.caps.watts <= points.at(-1).watts[0]) lines.push({ name: "At most", kind: "bad", watts: demand.caps.watts });
  return html`<article class="panel card" aria-label="What the boards can do">
    <div class="controls"><${Choice} label="What to chart over the power" value=${view} options=${Object.entries(CURVES).map(([key, { name }]) => [key, name])} onChange=${setView} />
      ${!alone && html`<label class="field inline"><span class="hidden">Curve of</span><select value=${at} onChange=${(event) => setAt(Number(event.currentTarget.value))}>
        ${stations.map((one, i) => html`<option key=${i} value=${i}>${one.boards.length > 1 ? "boards" : "board"} ${one.boards.join(", ")}</option>`)}</select></label>`}</div>
    ${points.length > 1 ? html`<${Curve} points=${points} view=${view} spots=${spots} lines=${lines} />`
      : html`<div class="empty unknown"><p>${note ?? (station.activity === "off" ? "What these boards can do is known once they are tuned." : reply ? "Not enough is known of these boards yet." : "Asking the miner …")}</p></div>`}
  </article>`;
}

/** The power at which an aim lies on a curve. */
function wattsOf(aim, points) {
  const kind = kindOfAim(aim);
  if (kind === "watts") return aim.watts;
  if (points.length < 2) return null;
  if (kind === "efficiency") return points.reduce((best, point) => (point.j_per_th[0] < best.j_per_th[0] ? point : best)).watts[0];
  if (kind !== "hashrate") return null;
  const next = points.findIndex((point) => point.ths[0] >= aim.hashrate);
  if (next < 1) return next === 0 ? points[0].watts[0] : null;
  const [a, b] = [points[next - 1], points[next]];
  return a.watts[0] + ((aim.hashrate - a.ths[0]) / (b.ths[0] - a.ths[0] || 1)) * (b.watts[0] - a.watts[0]);
}

/** What the tuners did and why, newest first. */
function Steps({ tuner, miner }) {
  const [more, setMore] = useState(false);
  const key = JSON.stringify([more, tuner.stations.map(({ last }) => last && [last.unix_s, last.decision])]);
  const { reply, note } = useAnswer("tuner.steps", { limit: more ? 100 : 7 }, key);
  // The newest come with the state; the others are asked for.
  const last = tuner.stations.map((one) => one.last).filter(Boolean);
  const known = (reply ?? []).filter((step) => !last.some((one) => one.station === step.station && one.unix_s === step.unix_s && one.decision === step.decision));
  const steps = [...known, ...last].sort((a, b) => b.unix_s - a.unix_s);
  if (!steps.length && !note) return null;
  const many = tuner.stations.length > 1;
  return html`<article class="panel steps-panel" aria-labelledby="steps-title"><h3 id="steps-title">What was done, and why</h3>
    ${note && html`<p class="muted">${note}</p>`}
    <ol class="steps">${steps.slice(0, more ? 100 : 6).map((step, i) => html`<li key=${`${step.station} ${step.unix_s} ${step.decision} ${i}`}>
      <div class="when"><time>${clock(step.unix_s)}</time>${many && html`<span class="muted">${where(step.station, tuner)}</span>`}</div>
      <div><p><b>${step.decision}</b></p>
      <dl><div><dt>Supposed</dt><dd>${step.hypothesis}</dd></div><div><dt>Seen</dt><dd>${step.evidence}</dd></div><div><dt>Sure</dt><dd>${sure(step.confidence)}</dd></div></dl></div></li>`)}</ol>
    ${!more && steps.length > 6 && html`<button type="button" class="quiet" onClick=${() => setMore(true)}>Show more</button>`}
  </article>`;
}

function where(index, tuner) {
  const boards = tuner.stations.find((one) => one.station === index)?.boards ?? [];
  return `${boards.length > 1 ? "boards" : "board"} ${boards.join(", ")}`;
}

/** Never more sure than it is: 0.9996 is not 100 %. */
const sure = (confidence) => (confidence > 0.995 && confidence < 1 ? "over 99\u202f%" : percent(confidence));

/** From least to most that all boards can do together: { watts: [low, high], ths: [low, high] }. */
function spanOf(reply) {
  const curves = reply?.filter((curve) => curve.points.length > 1) ?? [];
  if (!curves.length || curves.length < reply.length) return null;
  const sum = (of) => [0, -1].map((end) => curves.reduce((total, curve) => total + of(curve.points.at(end))[0], 0));
  return { watts: sum((point) => point.watts), ths: sum((point) => point.ths) };
}

/** What the boards would do under another aim, by their own models. */
function Outlook({ aim }) {
  const [told, setTold] = useState(null);
  const key = JSON.stringify(aim);
  useEffect(() => {
    if (!aim || kindOfAim(aim) === "off" || !may("tuner.predict")) return setTold(null);
    let here = true;
    const timer = setTimeout(async () => {
      try {
        const stations = await ponder("tuner.predict", { aim });
        const known = stations.map((one) => one.prediction).filter(Boolean);
        const sum = (of) => [0, 1, 2].map((i) => known.reduce((total, one) => total + of(one)[i], 0));
        if (here) setTold(known.length === stations.length && known.length ? { ths: sum((one) => one.ths), watts: sum((one) => one.watts), reach: known.find((one) => one.reach !== "reached")?.reach } : { unknown: true });
      } catch (error) {
        if (here) setTold({ note: words(error) });
      }
    }, 250);
    return () => {
      here = false;
      clearTimeout(timer);
    };
  }, [key]);
  const text = !told ? "" : told.note ?? (told.unknown ? "What that gives is not known before the boards are tuned." : null);
  return html`<div class="outlook" aria-live="polite">${text ?? html`<p>By the boards' own models: <b>${spread(told.ths, 2)} TH/s</b> at <b>${spread(told.watts, told.watts[0] < 100 ? 1 : 0)} W</b>, <b>${unit(told.watts[0] / told.ths[0], "J/TH", 2)}</b>.</p>
    ${REACHES[told.reach] && html`<p class="alert warn">${REACHES[told.reach]}</p>`}`}</div>`;
}

const stepOf = ([low, high]) => (high - low > 500 ? 10 : high - low > 50 ? 1 : high - low > 5 ? 0.1 : 0.01);
const rounded = ([low, high], step) => [Math.floor(low / step) * step, Math.ceil(high / step) * step].map((value) => Number(value.toFixed(2)));

/** A number within what the boards can do, or any number while that is not known. */
function Reachable({ label, value, span, unit: sign, onInput }) {
  if (!span) return html`<${Field} label=${`${label}, ${sign}`} type="number" inputmode="decimal" min="0" step="any" value=${value} onInput=${(text) => onInput(text === "" ? null : Number(text))} />`;
  const step = stepOf(span);
  const [min, max] = rounded(span, step);
  return html`<${Dial} label=${label} unit=${sign} value=${value} min=${min} max=${max} step=${step} onInput=${onInput} hint=${`these boards can do ${min} to ${max} ${sign}`} />`;
}

function Aim({ tuner, span, onClose }) {
  const started = kindOfAim(tuner.aim);
  const [kind, setKind] = useState(started === "off" ? "efficiency" : started);
  const promised = sumOf(tuner);
  const [watts, setWatts] = useState(tuner.aim.watts ?? null);
  const [ths, setThs] = useState(tuner.aim.hashrate ?? null);
  const [price, setPrice] = useState(String(tuner.aim.profit?.price_per_kwh ?? tuner.demand.price_per_kwh ?? ""));
  const [revenue, setRevenue] = useState(String(tuner.aim.profit?.revenue_per_ths_day ?? tuner.demand.revenue_per_ths_day ?? ""));
  const [bounds, setBounds] = useState(Object.fromEntries(BOUNDS.map(([key]) => [key, String(tuner.caps[key] ?? "")])));
  const near = (value, [low, high], step) => Number((Math.round(Math.min(high, Math.max(low, value)) / step) * step).toFixed(2));
  const at = watts ?? (span ? near(promised?.watts ?? (span.watts[0] + span.watts[1]) / 2, span.watts, stepOf(span.watts)) : null);
  const work = ths ?? (span ? near(promised?.ths ?? (span.ths[0] + span.ths[1]) / 2, span.ths, stepOf(span.ths)) : null);
  const number = (text) => (text.trim() === "" ? null : Number(text));
  const made = { watts: at > 0 ? { watts: at } : null, hashrate: work > 0 ? { hashrate: work } : null, efficiency: "efficiency", off: "off",
    profit: number(price) !== null && number(revenue) > 0 ? { profit: { price_per_kwh: number(price), revenue_per_ths_day: number(revenue) } } : null };
  const aim = made[kind];
  const caps = { ...tuner.caps, ...Object.fromEntries(BOUNDS.map(([key]) => [key, number(bounds[key])])) };
  const other = BOUNDS.some(([key]) => caps[key] !== (tuner.caps[key] ?? null));
  const submit = (event) => {
    event.preventDefault();
    onClose();
    review({
      title: kind === "off" ? "Stop tuning" : `Tune for ${aimText(aim).toLowerCase() === "power" ? "power" : aimText(aim)}`, method: "tuner.set", params: { aim, ...(other && { caps }) },
      text: kind === "off" ? "Clocks and voltage go back to what is configured. What was learned of the boards is kept." : "The tuner goes there step by step and never past a limit of the boards; mining goes on.",
    });
  };
  return html`<${Dialog} title="What the miner is tuned for" onClose=${onClose}><form onSubmit=${submit} novalidate>
    <${Choice} label="What the miner is tuned for" value=${kind} options=${AIMS} onChange=${setKind} />
    <p class="muted">${NOTES[kind]}</p>
    ${kind === "watts" && html`<${Reachable} label="Input power of all boards" unit="W" value=${at ?? ""} span=${span?.watts} onInput=${setWatts} />`}
    ${kind === "hashrate" && html`<${Reachable} label="Hashrate of all boards" unit="TH/s" value=${work ?? ""} span=${span?.ths} onInput=${setThs} />`}
    ${kind === "profit" && html`<${Field} label="Price of a kWh" type="number" inputmode="decimal" min="0" step="any" value=${price} onInput=${setPrice} hint="in your money; prices that are fed in go before this" />
      <${Field} label="Revenue of a TH/s for a day" type="number" inputmode="decimal" min="0" step="any" value=${revenue} onInput=${setRevenue} hint="in the same money" />`}
    <${Outlook} aim=${aim} />
    <details class="more" open=${BOUNDS.some(([key]) => tuner.caps[key] !== null && tuner.caps[key] !== undefined)}><summary>Bounds</summary><div class="bounds">${BOUNDS.map(([key, name, sign, path]) => {
      const limits = constraint(path);
      return html`<${Field} key=${key} label=${`${name}, ${sign}`} type="number" inputmode="decimal" step="any" min=${limits?.min} max=${limits?.max} placeholder="as the boards allow" value=${bounds[key]} onInput=${(text) => setBounds({ ...bounds, [key]: text })} />`;
    })}</div><p class="muted small">An empty bound is the one of the board's profile. No bound goes past that.</p></details>
    <footer><button type="button" onClick=${onClose}>Cancel</button><button class="primary" disabled=${!aim}>See what changes</button></footer></form><//>`;
}

function sumOf({ stations }) {
  const tuning = stations.filter((one) => one.activity !== "off" && one.watts > 0);
  return tuning.length ? { watts: tuning.reduce((sum, one) => sum + one.watts, 0), ths: tuning.reduce((sum, one) => sum + one.ths, 0) } : null;
}

const RAMPS = [[0, "at once"], [30, "over 30 seconds"], [60, "over 1 minute"], [300, "over 5 minutes"], [900, "over 15 minutes"]];
const TIMES = [[0, "until somebody ends it"], [900, "15 minutes"], [3600, "1 hour"], [7200, "2 hours"], [14400, "4 hours"], [43200, "12 hours"]];

function Curtail({ tuner, miner, span, onClose }) {
  const { curtailed_to_w: present } = tuner.demand;
  const curtailed = typeof present === "number";
  const [what, setWhat] = useState(curtailed ? "end" : "cap");
  const [watts, setWatts] = useState(present > 0 ? present : null);
  const [ramp, setRamp] = useState(60);
  const [time, setTime] = useState(0);
  const [error, setError] = useState(null);
  const draws = sumOf(tuner)?.watts ?? miner.miner.power_w;
  const most = span?.watts[1] ?? draws;
  const cap = watts ?? (draws > 0 ? Number((draws * 0.7).toFixed(draws < 100 ? 1 : 0)) : null);
  const submit = async (event) => {
    event.preventDefault();
    setError(null);
    const to = { cap, sleep: 0, end: null }[what];
    try {
      await call("tuner.curtail", { watts: to, ramp_s: ramp, ...(to !== null && time > 0 && { for_s: time }) });
      toast({ cap: `Power goes down to ${power(cap)}.`, sleep: "The boards go to sleep.", end: "The curtailment ends." }[what]);
      onClose();
    } catch (reason) {
      setError(words(reason));
    }
  };
  const select = (label, value, options, onChange) => html`<label class="field"><span>${label}</span><select value=${value} onChange=${(event) => onChange(Number(event.currentTarget.value))}>${options.map(([seconds, name]) => html`<option key=${seconds} value=${seconds}>${name}</option>`)}</select></label>`;
  const kinds = [["cap", "Cap the power"], ["sleep", "Sleep"], ...(curtailed ? [["end", "End it"]] : [])];
  return html`<${Dialog} title="Curtail" onClose=${onClose}><form onSubmit=${submit} novalidate>
    ${curtailed && html`<p>Curtailed ${present > 0 ? `to ${power(present)}` : "to nothing: the boards sleep"}.</p>`}
    <${Choice} label="What to do" value=${what} options=${kinds} onChange=${setWhat} />
    ${what === "cap" && html`<${Reachable} label="Input power of all boards at most" unit="W" value=${cap ?? ""} span=${span ? [Math.min(span.watts[0], cap ?? span.watts[0]), most] : null} onInput=${setWatts} />
      ${kindOfAim(tuner.aim) === "off" ? html`<p class="alert warn">Nothing is tuned, so there is nobody to hold a cap: choose an aim first. Sleep works.</p>` : html`<${Outlook} aim=${cap > 0 ? { watts: cap } : null} />`}`}
    ${what === "sleep" && html`<p>All boards are wound down and lose their power until it ends.</p>`}
    ${what === "end" && html`<p>The miner goes back to what it is tuned for.</p>`}
    ${select("How fast", ramp, RAMPS, setRamp)}
    ${what !== "end" && select("For how long", time, TIMES, setTime)}
    ${error && html`<p class="alert bad" role="alert">${error}</p>`}
    <footer><button type="button" onClick=${onClose}>Cancel</button><button class=${what === "sleep" ? "danger" : "primary"} disabled=${what === "cap" && !(cap > 0)}>${{ cap: "Curtail", sleep: "Put to sleep", end: "End the curtailment" }[what]}</button></footer></form><//>`;
}
