// Every change goes the same way: ask the miner what it would do, show that, and let the person decide whether it
// is kept and whether it undoes itself. Pending changes and their countdown are here as well.
import { html, useEffect, useState } from "./lib.js";
import { Button, Dialog, useTick } from "./widgets.js";
import { call, may, refreshConstraints, refreshPending, set, state, toast, words } from "./store.js";
import { plain } from "./format.js";

/** Opens the preview of a change. `text` says what it means; `done` is called when it was made. */
export const review = (change) => set({ review: change });

/** What would change, and the decision. */
export function Review() {
  const { review: change } = state;
  return change ? html`<${Preview} key=${change.title} change=${change} />` : null;
}

function Preview({ change }) {
  const { title, method, params, text, action = "Apply", danger, fleeting, done } = change;
  const [preview, setPreview] = useState(null);
  const [error, setError] = useState(null);
  const [confirmIn, setConfirmIn] = useState(0);
  const [save, setSave] = useState(true);
  const close = () => set({ review: null });
  useEffect(() => {
    call(method, { ...params, dry_run: true }).then(setPreview, (reason) => setError(words(reason)));
  }, []);
  const apply = async () => {
    setError(null);
    try {
      const how = { ...(confirmIn > 0 && { confirm_within_s: confirmIn }), ...(!fleeting && !save && { save: false }) };
      const reply = await call(method, { ...params, ...how });
      set({ review: null });
      toast([done ?? `${title}: done.`, !fleeting && reply.saved && "Saved in the config file.", ...reply.notes].filter(Boolean).join(" "));
      refreshPending();
      refreshConstraints();
    } catch (reason) {
      setError(words(reason));
    }
  };
  const same = preview?.changes.length === 0;
  return html`<${Dialog} title=${title} onClose=${close}>
    ${text && html`<p>${text}</p>`}
    ${!preview && !error && html`<p class="muted">Asking the miner what this would change …</p>`}
    ${error && html`<p class="alert bad" role="alert">${error}</p>`}
    ${preview && html`
      ${same ? html`<p>It is so already: nothing would change.</p>` : html`<${Changes} changes=${preview.changes} />`}
      ${preview.notes.map((note) => html`<p key=${note} class="muted">${note}</p>`)}
      ${!same && html`<div class="options">
        ${may("config.confirm") && html`<label class="field inline"><span>Undo by itself</span>
          <select value=${confirmIn} onChange=${(event) => setConfirmIn(Number(event.currentTarget.value))}>
            <option value="0">no</option><option value="60">unless I keep it within 1 minute</option>
            <option value="300">unless I keep it within 5 minutes</option><option value="1800">unless I keep it within 30 minutes</option>
          </select></label>`}
        ${!fleeting && html`<label class="check"><input type="checkbox" checked=${save} onChange=${(event) => setSave(event.currentTarget.checked)} />
          Save in the config file, so that it outlives a restart</label>`}
      </div>`}`}
    <footer>
      <button type="button" onClick=${close}>${same || (error && !preview) ? "Close" : "Cancel"}</button>
      ${preview && !same && html`<${Button} class=${danger ? "danger" : "primary"} onClick=${apply}>${action}<//>`}
    </footer><//>`;
}

const Changes = ({ changes }) => html`<div class="scroll"><table class="changes">
  <thead><tr><th scope="col">Setting</th><th scope="col">now</th><th scope="col">then</th></tr></thead>
  <tbody>${changes.map(({ path, from, to }) => html`<tr key=${path}>
    <th scope="row"><code>${path}</code></th><td>${plain(from)}</td><td><b>${plain(to)}</b></td></tr>`)}</tbody></table></div>`;

/** Changes that undo themselves, with the time that is left. */
export function PendingBars() {
  useTick(500);
  const now = Date.now();
  const over = state.pending.some((one) => one.until < now);
  useEffect(() => {
    if (over) refreshPending().catch(() => {});
  }, [over]);
  const decide = (method, id, text) => async () => {
    try {
      await call(method, { id });
      toast(text);
    } catch (error) {
      toast(words(error), "bad");
    }
    await refreshPending().catch(() => {});
    refreshConstraints().catch(() => {});
  };
  return state.pending.map((one) => html`<div key=${one.id} class="bar warn pending" role="alert">
    <p><b>${one.changes.map((change) => change.path).join(", ")}</b> by ${one.by} goes back in${" "}
      <b class="count">${Math.max(0, Math.ceil((one.until - now) / 1000))} s</b> unless it is kept.</p>
    ${may("config.confirm") && html`<div class="buttons">
      <${Button} class="primary" onClick=${decide("config.confirm", one.id, "The change stays.")}>Keep it<//>
      <${Button} onClick=${decide("config.rollback", one.id, "The change is undone.")}>Undo now<//></div>`}
  </div>`);
}
