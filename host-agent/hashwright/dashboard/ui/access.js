// Who we are to the miner, how to become somebody, and for admins who else may come in.
import { html, useEffect, useState } from "./lib.js";
import { Button, Choice, Dialog, Fact, Field, Pill, Section, useTick } from "./widgets.js";
import { call, hasToken, may, pair, set, state, toast, use, words } from "./store.js";
import { NONE, clock, duration, plain } from "./format.js";

const browser = () => /(Firefox|Edg|OPR|Chrome|Safari)/.exec(navigator.userAgent)?.[1].replace("Edg", "Edge").replace("OPR", "Opera") ?? "Browser";

/** Asks for a pairing code or a token. `fixed` if there is nothing to see without. */
export function SignIn({ fixed, onClose }) {
  const [way, setWay] = useState("code");
  const [code, setCode] = useState("");
  const [name, setName] = useState(`${browser()} on ${navigator.platform || "a phone"}`);
  const [error, setError] = useState(state.refused);
  const submit = async (event) => {
    event.preventDefault();
    setError(null);
    try {
      if (way === "code") {
        await pair(code, name);
        toast("This browser is paired.");
      } else {
        use(code.trim());
      }
      set({ signIn: false });
    } catch (reason) {
      setError(words(reason));
    }
  };
  const info = state.auth ?? {};
  return html`<${Dialog} title=${fixed ? `Welcome to ${info.name ?? "this miner"}` : "Sign in"} fixed=${fixed} onClose=${onClose}><form class="pair" onSubmit=${submit}>
    <p>${fixed ? "This miner shows itself only to those who may see it." : "With more rights, this browser can steer the miner."} ${way === "code" ? html`Get a code and type it here; it works once, for ten minutes.` : "Paste a token that somebody made for you."}</p>
    <${Choice} label="How to sign in" value=${way} options=${[["code", "Pairing code"], ["token", "Token"]]} onChange=${(key) => (setWay(key), setCode(""))} />
    ${way === "code" ? html`
      <${Field} label="Code" value=${code} onInput=${setCode} class="code" required autofocus autocomplete="one-time-code" autocapitalize="characters" spellcheck=${false} placeholder="XXXX-XXXX" />
      <${Field} label="Name for this browser" value=${name} onInput=${setName} required maxlength="60" hint="by which you find it among the tokens" />
      <details class="more" open=${!info.pairing_open}><summary>Where do I get a code?</summary>
        <p>On the machine that runs the miner: <code>hashwright auth pair</code>. With <code>pairing = "start"</code> in its config, a first code stands in its log or terminal. Or another paired browser shows one: System, Access, “Pair another device”.</p></details>`
    : html`<${Field} label="Token" value=${code} onInput=${setCode} type="password" required autofocus autocomplete="off" placeholder="hw_…" hint="made by: hashwright auth add NAME --role operate" />`}
    ${error && html`<p class="alert bad" role="alert">${error}</p>`}
    ${info.tls === false && location.hostname !== "localhost" && !location.hostname.startsWith("127.") && location.hostname !== "[::1]" && html`<p class="alert warn">This connection is not encrypted: whoever listens can read the token.</p>`}
    <footer>${!fixed && html`<button type="button" onClick=${onClose}>Cancel</button>`}<button class="primary" disabled=${!code.trim() || state.line.name !== "open"}>${way === "code" ? "Pair" : "Sign in"}</button></footer></form><//>`;
}

export function Access() {
  const { me } = state;
  return html`<div class="panel card"><header><h3>Access</h3></header>
    <dl class="facts"><${Fact} name="You are">${me.name ?? (me.by === "local" ? "on the miner's own machine" : "unknown")}<//><${Fact} name="You may">${rights(me.role)}<//>
      ${me.expires_unix_s && html`<${Fact} name="Until">${clock(me.expires_unix_s, false)}<//>`}</dl>
    <footer>${me.role !== "admin" && html`<button type="button" onClick=${() => set({ signIn: true })}>Sign in …</button>`}
      ${hasToken() && html`<button type="button" onClick=${() => use(null)}>Forget this browser's token</button>`}</footer>
    ${may("auth.list") && html`<${Tokens} />`}
  </div>`;
}

const rights = (role) => ({ read: "look", operate: "look, pause, cool, switch pools", tune: "operate, and set clocks and voltages", admin: "do everything" })[role] ?? "nothing";

function Tokens() {
  const [tokens, setTokens] = useState(null);
  const [asks, setAsks] = useState(null);
  const [error, setError] = useState(null);
  const load = () => call("auth.list").then(setTokens, (reason) => setError(words(reason)));
  useEffect(() => void load(), []);
  const revoke = (token) => async () => {
    try {
      await call("auth.revoke", { id: token.id });
      toast(`${token.name} has no access any more.`);
    } catch (reason) {
      toast(words(reason), "bad");
    }
    load();
  };
  return html`<h4>Who else</h4>${error && html`<p class="alert warn">${error}</p>`}
    ${tokens?.length === 0 && html`<p class="muted">No tokens yet.</p>`}
    ${tokens?.length > 0 && html`<div class="scroll"><table class="tokens"><thead><tr><th scope="col">Name</th><th scope="col">Role</th><th scope="col">Last used</th><th scope="col">Expires</th><th></th></tr></thead><tbody>${tokens.map((token) =>
      html`<tr key=${token.id}><th scope="row">${token.name}</th><td><${Pill} word=${token.role} /></td><td>${token.last_used_unix_s ? clock(token.last_used_unix_s, false) : "never"}</td><td>${token.expires_unix_s ? clock(token.expires_unix_s, false) : "never"}</td>
        <td><${Twice} text="Revoke" sure=${`Really revoke ${token.name}?`} onClick=${revoke(token)} /></td></tr>`)}</tbody></table></div>`}
    <footer><button type="button" onClick=${() => setAsks("pair")}>Pair another device …</button><button type="button" onClick=${() => setAsks("add")}>New token …</button><button type="button" onClick=${() => setAsks("audit")}>Audit log …</button></footer>
    ${asks === "pair" && html`<${PairOther} onClose=${() => (setAsks(null), load())} />`}
    ${asks === "add" && html`<${AddToken} onClose=${() => (setAsks(null), load())} />`}
    ${asks === "audit" && html`<${Audit} onClose=${() => setAsks(null)} />`}`;
}

/** A button that has to be pressed twice. */
function Twice({ text, sure, onClick }) {
  const [armed, setArmed] = useState(false);
  useEffect(() => {
    const timer = armed && setTimeout(() => setArmed(false), 4000);
    return () => clearTimeout(timer);
  }, [armed]);
  return html`<${Button} class=${armed ? "danger small" : "small"} onClick=${() => (armed ? onClick() : setArmed(true))}>${armed ? sure : text}<//>`;
}

function PairOther({ onClose }) {
  const [role, setRole] = useState("read");
  const [given, setGiven] = useState(null);
  const [error, setError] = useState(null);
  useTick();
  const start = async () => {
    try {
      const code = await call("auth.pairing_start", { role });
      setGiven({ ...code, until: Date.now() + code.expires_in_s * 1000 });
    } catch (reason) {
      setError(words(reason));
    }
  };
  return html`<${Dialog} title="Pair another device" onClose=${onClose}>
    ${given ? html`<p>Open this page on the other device and type this code. It gives the role <b>${given.role}</b>, once.</p><p class="bigcode">${given.code}</p>
      <p class="muted">void in ${duration((given.until - Date.now()) / 1000)}</p>` : html`<p>What may it do?</p><${Roles} value=${role} onChange=${setRole} />`}
    ${error && html`<p class="alert bad" role="alert">${error}</p>`}
    <footer><button type="button" onClick=${onClose}>Close</button>${!given && html`<${Button} class="primary" onClick=${start}>Show a code<//>`}</footer><//>`;
}

const Roles = ({ value, onChange }) => html`<${Choice} label="Role" value=${value} options=${["read", "operate", "tune", "admin"].map((role) => [role, role])} onChange=${onChange} /><p class="muted">It may ${rights(value)}.</p>`;

function AddToken({ onClose }) {
  const [name, setName] = useState("");
  const [role, setRole] = useState("read");
  const [days, setDays] = useState("");
  const [made, setMade] = useState(null);
  const [error, setError] = useState(null);
  const submit = async (event) => {
    event.preventDefault();
    try {
      setMade(await call("auth.add", { name, role, ...(days && { expires_s: Math.round(Number(days) * 86400) }) }));
    } catch (reason) {
      setError(words(reason));
    }
  };
  return html`<${Dialog} title="New token" onClose=${onClose}>${made ? html`<p>The token of <b>${made.name}</b>. It is shown this once:</p><p class="token"><code>${made.token}</code></p>
      <footer><button type="button" onClick=${() => navigator.clipboard?.writeText(made.token).then(() => toast("Copied."))}>Copy</button><button type="button" class="primary" onClick=${onClose}>Done</button></footer>`
    : html`<form onSubmit=${submit}><${Field} label="Whom or what for" value=${name} onInput=${setName} required maxlength="60" autocomplete="off" /><${Roles} value=${role} onChange=${setRole} />
      <${Field} label="Days until it expires" value=${days} onInput=${setDays} type="number" min="1" max="3650" hint="empty for never" />
      ${error && html`<p class="alert bad" role="alert">${error}</p>`}<footer><button type="button" onClick=${onClose}>Cancel</button><button class="primary">Make it</button></footer></form>`}<//>`;
}

function Audit({ onClose }) {
  const [records, setRecords] = useState(null);
  const [error, setError] = useState(null);
  useEffect(() => void call("auth.audit", { limit: 200 }).then(setRecords, (reason) => setError(words(reason))), []);
  return html`<${Dialog} title="Who changed what" onClose=${onClose}>${error && html`<p class="alert bad">${error}</p>`}
    ${records?.length === 0 && html`<p class="muted">Nobody has changed anything.</p>`}
    ${records?.length > 0 && html`<div class="scroll tall" tabindex="0"><table class="tokens"><thead><tr><th scope="col">When</th><th scope="col">Who</th><th scope="col">What</th><th scope="col">Outcome</th></tr></thead><tbody>${records.toReversed().map((one, i) =>
      html`<tr key=${i}><td>${clock(one.unix_s)}</td><td>${one.who} <span class="muted">${[one.role, one.via, one.peer].filter(Boolean).join(", ")}</span></td><td><code>${one.method}</code> <span class="small">${Object.entries(one.params ?? {}).map(([key, value]) => `${key}=${plain(value)}`).join(" ")}</span></td><td>${one.outcome ?? NONE}</td></tr>`)}</tbody></table></div>`}<//>`;
}
