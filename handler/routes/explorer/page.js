// The explorer page. Everything that an answer holds goes into the page as text,
// never as markup: an attacker can choose the names of files and devices.
"use strict";

const HASH = "97bf5e1a903a978b2281496e0a897688e9d8e6f981238cf91e39bae20390defe";
const entity = (hash, algorithm) => ({ kind: "FileHash", properties: { hashValue: hash, algorithm } });
const json = (value) => JSON.stringify(value, null, 2);

const SAMPLES = [
  ["One hash", HASH],
  ["Advisory", `A made-up advisory around real hashes (CISA AR18-337B)

The dropper (hxxp://example[.]com/a.exe) and what it leaves behind:

  SHA-256  ${HASH}
  SHA-256  594B9B42A2D7AE71EF08795FCA19D027135D86E82BC0D354D18BFD766EC2424C
  SHA-1    4388963aaa83afe2042a46a3c017ad50bdcdafb3
  SHA-256  a660cc6155b307c0957c4c6ea119a295a852d28097196d85f00f5517944a3dcb
  MD5      d41d8cd98f00b204e9800998ecf8427e`],
  ["List of hashes", json({ hashes: [HASH, "4388963aaa83afe2042a46a3c017ad50bdcdafb3"] })],
  ["Sentinel incident", json({
    eventUniqueId: "f3f7a1c0-0000-4000-8000-000000000001",
    object: {
      properties: {
        title: "Malware on a device", severity: "High",
        relatedEntities: [entity(HASH, "SHA256"), entity("4388963aaa83afe2042a46a3c017ad50bdcdafb3", "SHA1")],
      },
    },
  })],
  ["Entities - Get FileHashes", json({ Filehashes: [{ Value: HASH, Algorithm: "SHA256" }] })],
];

const of = (id) => document.getElementById(id);
const auth = document.body.dataset.auth;
const tokenCommand = `az account get-access-token --scope "${document.body.dataset.audience}/.default" --query accessToken -o tsv`;
let running = null;
let rawAnswer = "";

/** An element with text and children; nothing is ever parsed as markup. */
function element(name, { text, className, ...properties } = {}, children = []) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  for (const [key, value] of Object.entries(properties)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function isJson(text) {
  if (!/^\s*[[{]/.test(text)) return false;
  try { JSON.parse(text); return true; } catch { return false; }
}

/** The request that the form describes; without the credential. */
function request() {
  const text = of("text").value;
  const query = new URLSearchParams();
  const include = [...of("include").querySelectorAll(":checked")].map((box) => box.value);
  if (include.length) query.set("include", include.join(","));
  if (of("format").value !== "json") query.set("format", of("format").value);
  const suffix = query.size ? "?" + query.toString().replaceAll("%2C", ",") : "";
  const one = text.trim();
  if (/^([0-9a-f]{40}|[0-9a-f]{64})$/i.test(one)) return { method: "GET", path: `/api/hashes/${one}${suffix}` };
  const type = (isJson(text) ? "application/json" : "text/plain") + "; charset=utf-8";
  return { method: "POST", path: `/api/hashes${suffix}`, type, body: text };
}

function describe() {
  const { method, path, type } = request();
  of("sends").textContent = `${method} ${path}${type ? "  " + type : ""}`;
}

function credential() {
  const token = of("token").value.trim();
  if (!token || auth === "off") return {};
  return auth === "host" ? { "x-functions-key": token } : { Authorization: `Bearer ${token.replace(/^bearer\s+/i, "")}` };
}

const say = (text) => { of("status").textContent = text; };

async function run() {
  if (running) return;
  const { method, path, type, body } = request();
  if (method === "POST" && !body.trim()) { say("There is nothing to send yet: paste an advisory or pick a sample."); of("text").focus(); return; }
  running = new AbortController();
  of("run").setAttribute("aria-disabled", "true");
  of("cancel").hidden = false;
  of("answer").hidden = true;
  say("Running...");
  const began = performance.now();
  try {
    const headers = { ...credential(), ...(type ? { "Content-Type": type } : {}) };
    const response = await fetch(path, { method, headers, body, signal: running.signal, cache: "no-store", credentials: "omit" });
    const text = await response.text();
    show(response, text, Math.round(performance.now() - began));
  } catch (error) {
    const why = error.name === "TypeError" ? "The service or a proxy in front of it did not answer, or the token contains characters that a header must not have." : error.message;
    say(running.signal.aborted ? "Canceled." : `No answer: ${why}`);
  } finally {
    running = null;
    of("run").removeAttribute("aria-disabled");
    if (document.activeElement === of("cancel")) of("run").focus();
    of("cancel").hidden = true;
  }
}

function show(response, text, milliseconds) {
  const type = response.headers.get("content-type") ?? "";
  let answer = null;
  if (type.includes("json")) { try { answer = JSON.parse(text); } catch { /* shown as it is */ } }
  rawAnswer = text;
  of("raw").textContent = answer ? json(answer) : text;
  of("raw-head").textContent = `${response.status} ${type}, ${milliseconds} ms`;
  of("answer").hidden = false;
  const problem = trouble(response, answer);
  let results = [];
  let outcome = `Refused or failed with status ${response.status}.`;
  if (!problem) {
    try {
      results = resultsOf(answer);
      of("rows").replaceChildren(...results.map(row));
      of("details").replaceChildren(...results.filter((result) => result.verdict).map(details));
      outcome = summary(answer, results);
    } catch {
      results = [];
      outcome = "The answer has another shape than expected; the raw answer is below.";
    }
  }
  of("verdicts").hidden = results.length === 0;
  of("problem").textContent = problem;
  of("problem").hidden = !problem;
  of("summary").textContent = problem ? "" : outcome;
  say(outcome);
}

/** The problem, as text for a person; empty for an answer. */
function trouble(response, answer) {
  if (response.ok) {
    const wanted = of("format").value === "json" || of("format").value === "stat";
    return wanted && answer === null ? "The answer is not JSON: something in front of the service answered." : "";
  }
  if (typeof answer?.detail !== "string") return `Status ${response.status}`;
  return `${answer.title}: ${answer.detail}\nCode ${answer.code}, invocation ${answer.invocationId}`;
}

/** The results of an answer; an answer for one hash is its only result. */
function resultsOf(answer) {
  if (answer?.hash) return [answer];
  if (answer?.results === undefined) return [];
  if (!Array.isArray(answer.results)) throw new TypeError("results");
  return answer.results;
}

function summary(answer, results) {
  const stale = results.filter((result) => result.stale).length;
  const unread = results.flatMap(sources).filter(([, source]) => source.error).length;
  const notes = [stale && ` ${stale} ${stale === 1 ? "answer" : "answers"} from memory while Defender is down.`, unread && ` ${unread} ${unread === 1 ? "source" : "sources"} of evidence NOT read.`];
  const more = notes.filter(Boolean).join("");
  if (!answer?.summary) return (results.length ? `Verdict: ${word(results[0])}.` : "Answered.") + more;
  const s = answer.summary;
  const unchecked = s.failed + s.invalid;
  const hashes = s.total === 1 ? "1 hash" : `${s.total} hashes`;
  const counts = `${hashes}: ${s.malicious} malicious, ${s.suspicious} suspicious, ${s.unknown} unknown, ${s.clean} clean.`;
  return (unchecked ? `${unchecked} of ${hashes} NOT checked. ` : "") + counts + more;
}

const word = (result) => result.verdict ? result.verdict + (result.stale ? " (stale)" : "") : "NOT CHECKED";
const shade = (result) => "verdict " + (result.verdict ?? "unchecked");

function row(result) {
  return element("tr", {}, [
    element("td", { text: word(result), className: shade(result) }),
    element("th", { text: result.hash, className: "hash", scope: "row" }),
    element("td", { text: result.reasons?.[0]?.text ?? result.error?.detail ?? "" }),
    element("td", { text: result.file?.globalPrevalence ?? "" }),
    element("td", { text: sources(result).map(([name, source]) => inShort(name, source)).join("; ") }),
  ]);
}

const sources = (result) => ["stats", "alerts", "devices", "indicators"].filter((name) => result[name]).map((name) => [name, result[name]]);

function inShort(name, source) {
  if (source.error) return `${name} NOT read`;
  if (name === "stats") return `seen on ${source.organizationPrevalence ?? "?"} ${source.organizationPrevalence === 1 ? "device" : "devices"} in 30 days`;
  return `${source.count}${source.more ? "+" : ""} ${name}`;
}

function details(result) {
  const parts = sources(result).map(([name, source]) => evidence(name, source));
  const advice = (result.nextActions ?? []).map((next) => element("li", {}, action(next)));
  parts.push(element("p", { text: "Next actions" }), advice.length ? element("ul", {}, advice) : element("p", { text: "none", className: "help" }));
  const title = [element("span", { text: word(result), className: shade(result) }), ` ${result.hash}`];
  return element("details", {}, [element("summary", {}, title), ...parts]);
}

function evidence(name, source) {
  if (source.error) return element("p", { text: `${name}: NOT read. ${source.error.detail}` });
  const line = element("p", { text: `${name}: ${inShort(name, source)}` });
  if (name === "stats") {
    const seen = [source.orgFirstSeen && `first ${source.orgFirstSeen}`, source.orgLastSeen && `last ${source.orgLastSeen}`, ...(source.topFileNames ?? [])];
    return element("div", {}, [line, element("ul", {}, seen.filter(Boolean).map((text) => element("li", { text })))]);
  }
  const values = (item) => Object.values(item).filter((value) => value !== null && String(value) !== "").join(", ");
  const items = (source.items ?? []).map((item) => element("li", { text: values(item) }));
  if (name === "devices" && source.items === null) items.push(element("li", { text: "names are for callers with the role Devices.Read" }));
  if (source.ownOnly) items.push(element("li", { text: "the identity sees only its own Indicators; there may be more" }));
  return element("div", {}, [line, element("ul", {}, items)]);
}

function action(next) {
  const parts = [element("strong", { text: next.title }), ` - ${next.reason}. `];
  if (next.portalUrl?.startsWith("https://")) {
    parts.push(element("a", { text: "Open the portal", href: next.portalUrl, target: "_blank", rel: "noopener noreferrer" }));
  }
  for (const [label, text] of [["query", next.kql], ["Indicator", next.request && json(next.request)]]) {
    if (!text) continue;
    const copy = element("button", { text: `Copy the ${label}`, type: "button" });
    copy.addEventListener("click", () => toClipboard(text, `the ${label}`));
    parts.push(element("pre", { text, tabindex: "0" }), copy);
  }
  return parts;
}

async function toClipboard(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    say(`Copied ${what}.`);
  } catch {
    say(`The browser did not allow to copy ${what}.`);
  }
}

const inShell = (text) => `'${text.replaceAll("'", "'\\''")}'`;
// PowerShell takes typographic quotes for plain ones.
const inPowerShell = (text) => `'${text.replace(/['\u2018\u2019\u201a\u201b]/g, "$&$&")}'`;

function asCurl() {
  const { method, path, type, body } = request();
  const parts = [`curl -sS -X ${method} ${inShell(location.origin + path)}`];
  if (auth === "entra") parts.push(`-H "Authorization: Bearer $(${tokenCommand.replaceAll('"', "'")})"`);
  if (auth === "host") parts.push('-H "x-functions-key: $FUNCTIONS_KEY"');
  if (type) parts.push(`-H ${inShell("Content-Type: " + type)}`, `--data-raw ${inShell(body)}`);
  return parts.join(" \\\n  ");
}

function asPowerShell() {
  const { method, path, type, body } = request();
  const parts = [`Invoke-RestMethod -Method ${method} -Uri ${inPowerShell(location.origin + path)}`];
  if (auth === "entra") parts.push(`-Headers @{ Authorization = "Bearer $(${tokenCommand.replaceAll('"', "'")})" }`);
  if (auth === "host") parts.push("-Headers @{ 'x-functions-key' = $env:FUNCTIONS_KEY }");
  if (type) parts.push(`-ContentType ${inPowerShell(type)}`, `-Body ${inPowerShell(body)}`);
  return parts.join(" `\n  ");
}

function start() {
  for (const [name, text] of SAMPLES) {
    const button = element("button", { text: name, type: "button" });
    button.addEventListener("click", () => { of("text").value = text; describe(); say(`Sample: ${name}.`); of("text").focus(); });
    of("samples").append(element("li", {}, [button]));
  }
  of("token-section").hidden = auth === "off";
  if (auth === "host") {
    of("token-label").textContent = "Functions key";
    of("token-command-line").hidden = true;
  } else {
    of("token-hint").textContent = "It needs the application role Hashes.Read. This command gets one after az login:";
    of("token-command").textContent = tokenCommand;
  }
  of("request").addEventListener("submit", (event) => { event.preventDefault(); run(); });
  of("request").addEventListener("input", describe);
  of("request").addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); run(); } });
  of("cancel").addEventListener("click", () => running?.abort());
  of("copy-curl").addEventListener("click", () => toClipboard(asCurl(), "the curl command"));
  of("copy-powershell").addEventListener("click", () => toClipboard(asPowerShell(), "the PowerShell command"));
  of("copy-token-command").addEventListener("click", () => toClipboard(tokenCommand, "the command"));
  of("copy-raw").addEventListener("click", () => toClipboard(rawAnswer, "the answer"));
  describe();
}

start();
