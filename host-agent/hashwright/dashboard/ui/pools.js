// The pools in their order of priority: what each does for us, what it refused and why, what its work pays, and how
// the list is changed. Everything that a pool says is shown as text and nothing else.
import { html, useEffect, useState } from "./lib.js";
import { Dialog, Fact, Field, Pill, Section } from "./widgets.js";
import { review } from "./change.js";
import { call, may, words } from "./store.js";
import { ago, bitcoin, percent, short, unit, whole } from "./format.js";

export function Pools({ miner }) {
  const [edits, setEdits] = useState(null);
  const { pools, system } = miner;
  const aside = may("pool.add") && html`<button type="button" onClick=${() => setEdits({})}>Add a pool …</button>`;
  return html`<${Section} id="pools" title="Pools" aside=${aside}>
    <div class="cards wide">${pools.map((pool, place) => html`<${Pool} key=${`${pool.url} ${pool.user} ${pool.index}`} pool=${pool} place=${place} count=${pools.length} uptime=${system.uptime_s} onEdit=${() => setEdits({ pool })} />`)}</div>
    ${edits && html`<${Edit} pool=${edits.pool} onClose=${() => setEdits(null)} />`}<//>`;
}

function Pool({ pool, place, count, uptime, onEdit }) {
  const answers = pool.accepted + pool.rejected;
  const move = (by) => () => {
    const order = Array.from({ length: count }, (_, i) => i);
    order.splice(place + by, 0, ...order.splice(place, 1));
    review({ title: `Move pool ${place} ${by < 0 ? "up" : "down"}`, method: "pool.order", params: { order } });
  };
  return html`<article class="panel card" aria-label=${`Pool ${place}`}>
    <header><div><h3 class="url">${pool.url}</h3><p class="muted url">${pool.user || "no user"} · ${pool.protocol}</p></div>
      <div class="pills">${pool.work_percent > 0 && html`<${Pill} word=${`${Math.round(pool.work_percent)} % of work`} kind="good" />`}<${Pill} word=${pool.role} /><${Pill} word=${pool.state} /></div></header>
    ${pool.alarm && html`<p class="alert warn" role="alert">${pool.alarm}</p>`}
    ${pool.problem && html`<p class="alert warn">${pool.problem}</p>`}
    ${pool.message && html`<p class="message"><span class="muted">The pool says:</span> ${pool.message}</p>`}
    <dl class="facts">
      <${Fact} name="Accepted">${whole(pool.accepted)} <span class="muted">Σ difficulty ${short(pool.accepted_difficulty)}</span><//>
      <${Fact} name="Rejected" kind=${answers > 20 && pool.rejected / answers > 0.03 && "warn"}>${whole(pool.rejected)} <span class="muted">(${percent(answers ? pool.rejected / answers : 0, 1)}), ${whole(pool.stale)} stale</span><//>
      <${Fact} name="Last share">${pool.last_share_s === null ? "none yet" : ago(uptime - pool.last_share_s)}<//>
      <${Fact} name="Latency">${unit(pool.latency_ms, "ms")} <span class="muted">90 % ${unit(pool.latency_p90_ms, "ms")}, 99 % ${unit(pool.latency_p99_ms, "ms")}</span><//>
      <${Fact} name="Difficulty">${short(pool.difficulty)}<//>
      <${Fact} name="Best share">${short(pool.best_difficulty)}<//>
      ${pool.quota_percent !== null && html`<${Fact} name="Quota">${unit(pool.quota_percent, "%", 0)}<//>`}
      ${pool.blocks > 0 && html`<${Fact} name="Blocks" kind="good">${whole(pool.blocks)}<//>`}
    </dl>
    ${pool.reject_reasons.length > 0 && html`<table class="rejects"><caption>Why shares were rejected</caption><tbody>${pool.reject_reasons.map(({ reason, text, count }) =>
      html`<tr key=${reason}><th scope="row">${reason}</th><td>${text}</td><td class="number">${whole(count)}</td></tr>`)}</tbody></table>`}
    ${pool.payout && html`<${Payout} payout=${pool.payout} />`}
    <details class="more"><summary>More of this pool</summary><dl class="facts">
      <${Fact} name="Jobs">${whole(pool.jobs)}<//><${Fact} name="Submitted">${whole(pool.submitted)}<//><${Fact} name="Unconfirmed">${whole(pool.unconfirmed)}<//>
      <${Fact} name="Dropped">${whole(pool.dropped)}<//><${Fact} name="Connections">${whole(pool.connects)}<//><${Fact} name="Version bits"><code>${pool.version_mask.toString(16).padStart(8, "0")}</code><//><${Fact} name="Job"><code>${pool.job_id ?? "none"}</code><//></dl></details>
    ${(may("pool.order") || may("pool.update")) && html`<footer>
      ${may("pool.order") && count > 1 && html`<button type="button" disabled=${place === 0} aria-label=${`Move pool ${place} up`} onClick=${move(-1)}>↑</button>
        <button type="button" disabled=${place === count - 1} aria-label=${`Move pool ${place} down`} onClick=${move(1)}>↓</button>`}
      ${may("pool.update") && html`<button type="button" onClick=${onEdit}>Edit …</button>`}
      ${may("pool.remove") && count > 1 && html`<button type="button" onClick=${() => review({ title: `Remove pool ${place}`, method: "pool.remove", params: { index: pool.index }, text: pool.url, action: "Remove", danger: true })}>Remove …</button>`}</footer>`}
  </article>`;
}

function Payout({ payout }) {
  if (payout.unknown) return html`<p class="muted small">What its work pays is not known: ${payout.unknown}</p>`;
  return html`<div class="payout">
    ${payout.refused && html`<p class="alert bad">${payout.refused}</p>`}
    <p class="small"><span class="muted">Pays</span> <b>${bitcoin(payout.total_sat)}</b>${payout.own_percent !== null && html`, <b>${unit(payout.own_percent, "%")}</b> of it to you`}
      <span class="muted">${[payout.pool, payout.height && `block ${payout.height}`, payout.network !== "bitcoin" && payout.network].filter(Boolean).map((part) => ` · ${part}`).join("")}</span></p>
    <div class="outputs" aria-hidden="true">${payout.outputs.map((output, i) => html`<i key=${i} class=${output.own ? "own" : ""} style=${{ flexGrow: output.percent }}></i>`)}</div>
    <details class="more"><summary>${payout.output_count} ${payout.output_count === 1 ? "output" : "outputs"}</summary>
      <table class="rejects"><tbody>${payout.outputs.map((output, i) => html`<tr key=${i}><th scope="row" class="url">${output.receiver}${output.own && " (yours)"}</th><td>${output.kind}</td><td class="number">${unit(output.percent, "%")}</td></tr>`)}</tbody></table>
      ${payout.tag && html`<p class="small muted url">In the coinbase: ${payout.tag}</p>`}</details>
    ${payout.problems.map((problem) => html`<p key=${problem} class="alert warn">${problem}</p>`)}
  </div>`;
}

/** [key, label, hint, kind] as in the config; those after the first four stand behind "more". */
const KEYS = [
  ["url", "URL", "stratum+tcp://, stratum+tls://, stratum2+tcp:// or http:// (your own node)"],
  ["user", "User", "account or payout address, with the worker's name as the pool wants it"],
  ["password", "Password", "not shown; leave empty to keep it"],
  ["quota", "Quota", "percent of the work, with the strategy quota", Number],
  ["payout_address", "Payout address", "the address that its work should pay"],
  ["min_payout_percent", "Least payout", "work that pays it less is refused, percent", Number],
  ["suggest_difficulty", "Difficulty to ask for", "", Number],
  ["proxy", "SOCKS5 proxy", "host:port"],
  ["network", "Network", "main, testnet, testnet4, signet or regtest"],
];

function Edit({ pool, onClose }) {
  const [was, setWas] = useState(pool ? null : {});
  const [now, setNow] = useState({});
  const [error, setError] = useState(null);
  useEffect(() => {
    if (!pool) return;
    const start = `pool[${pool.index}].`;
    call("config.get", { path: start.slice(0, -1) }).then(({ settings }) => {
      const own = settings.filter(({ path }) => path.startsWith(start) && path !== `${start}password`);
      setWas({ url: pool.url, user: pool.user, ...Object.fromEntries(own.filter(({ value }) => value !== null && typeof value !== "object").map(({ path, value }) => [path.slice(start.length), String(value)])) });
    }).catch((reason) => {
      setWas({ url: pool.url, user: pool.user });
      setError(words(reason));
    });
  }, []);
  if (was === null) return html`<${Dialog} title=${`Pool ${pool.index}`} onClose=${onClose}><p class="muted">Asking for its settings …</p><//>`;
  const submit = (event) => {
    event.preventDefault();
    const settings = {};
    const clear = [];
    for (const [key, , , read = String] of KEYS) {
      const text = now[key]?.trim();
      if (text === undefined || text === (was[key] ?? "")) continue;
      if (text === "") clear.push(key);
      else settings[key] = read(text);
    }
    onClose();
    if (pool) review({ title: `Change pool ${pool.index}`, method: "pool.update", params: { index: pool.index, pool: settings, ...(clear.length && { clear }) } });
    else review({ title: "Add a pool", method: "pool.add", params: { pool: settings }, action: "Add" });
  };
  const field = ([key, label, hint, read]) => html`<${Field} key=${key} label=${label} hint=${hint} name=${key} required=${key === "url"} autocomplete="off" spellcheck=${false}
    type=${key === "password" ? "password" : "text"} inputmode=${read ? "decimal" : undefined} value=${now[key] ?? was[key] ?? ""} onInput=${(text) => setNow({ ...now, [key]: text })} />`;
  return html`<${Dialog} title=${pool ? `Pool ${pool.index}` : "Add a pool"} onClose=${onClose}><form onSubmit=${submit}>
    ${error && html`<p class="alert warn">${error}</p>`}
    ${KEYS.slice(0, 3).map(field)}
    <details class="more"><summary>More settings</summary>${KEYS.slice(3).map(field)}</details>
    <footer><button type="button" onClick=${onClose}>Cancel</button><button class="primary">See what changes</button></footer></form><//>`;
}
