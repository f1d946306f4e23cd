// Fetches the OpenRPC document of the agent at the URL given, has it judged by the validator of the OpenRPC
// project, resolves every reference, and calls every method of it once.
import { parseOpenRPCDocument, validateOpenRPCDocument } from "@open-rpc/schema-utils-js";

const url = process.argv[2];

async function call(method, params = {}) {
  const response = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
  });
  return response.json();
}

const document = (await call("rpc.discover")).result;
const verdict = validateOpenRPCDocument(structuredClone(document));
if (verdict !== true) {
  console.error("not a valid OpenRPC document:", verdict.message ?? verdict);
  process.exit(1);
}
console.log(`OpenRPC ${document.openrpc}: valid, ${document.methods.length} methods, ` +
  `${Object.keys(document.components.schemas).length} schemas`);

await parseOpenRPCDocument(structuredClone(document), { dereference: true });
console.log("every reference of it leads somewhere");

let asked = 0;
for (const { name, params, "x-kind": kind } of document.methods) {
  // Only what changes nothing, and what a dry run can try.
  const dry = params.some((param) => param.name === "dry_run");
  if (kind === "write" && !dry) continue;
  const reply = await call(name, dry ? { dry_run: true } : {});
  if (reply.error?.code === -32601 || reply.error?.code === -32603 || (!("result" in reply) && !reply.error)) {
    console.error(name, "is not answered as documented:", JSON.stringify(reply));
    process.exit(1);
  }
  asked += 1;
}
console.log(`the agent answers to all ${asked} methods that could be asked without changing anything`);
