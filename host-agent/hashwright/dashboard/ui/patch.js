// RFC 6902, as far as the telemetry uses it: add, replace and remove. The old value stays as it was, and what
// did not change is shared with the new one, so that unchanged parts need not be drawn again.

/** `value` after the operations; throws if one does not fit. */
export function apply(value, operations) {
  const fresh = new Set();
  const root = { value };
  fresh.add(root);
  for (const { op, path, value: given } of operations) {
    const keys = ["value", ...path.split("/").slice(1).map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"))];
    const last = keys.pop();
    let at = root;
    for (const key of keys) {
      const child = at[key];
      if (child === null || typeof child !== "object" || !Object.hasOwn(at, key)) throw new Error(`nothing at ${path}`);
      if (!fresh.has(child)) {
        at[key] = Array.isArray(child) ? [...child] : { ...child };
        fresh.add(at[key]);
      }
      at = at[key];
    }
    change(at, last, op, given, path);
  }
  return root.value;
}

function change(at, key, op, given, path) {
  const isArray = Array.isArray(at);
  const index = key === "-" ? at.length : Number(key);
  const there = isArray ? index >= 0 && index < at.length : Object.hasOwn(at, key);
  if (!there && (op !== "add" || (isArray && index !== at.length))) throw new Error(`nothing at ${path}`);
  if (op === "remove") isArray ? at.splice(index, 1) : delete at[key];
  else if (op === "add" && isArray) at.splice(index, 0, given);
  else if (op === "add" || op === "replace") at[isArray ? index : key] = given;
  else throw new Error(`${op} is not used here`);
}
