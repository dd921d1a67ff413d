// Uses the explorer page as a person would, in headless Chromium.
//
// node explorer.js BASE_URL SCREENSHOTS [TOKEN]
// Prints the copied texts as one JSON line, or fails with the reason. The page
// must report no error, load nothing from elsewhere and pass axe.
"use strict";

const assert = require("node:assert/strict");
const { join } = require("node:path");
const axe = require("axe-core");
const { open } = require("./browser");

const [base, screenshots, token] = process.argv.slice(2);
const MALWARE = "97bf5e1a903a978b2281496e0a897688e9d8e6f981238cf91e39bae20390defe";

async function accessible(page) {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => axe.run());
  assert.deepEqual(violations.map((found) => `${found.id}: ${found.nodes.map((node) => node.html).join(" ")}`), []);
}

async function run(page) {
  await page.locator("#text").press("Control+Enter");
  await page.waitForFunction(() => !/Running|Sample/.test(document.getElementById("status").textContent));
  return page.locator("#status").textContent();
}

async function copied(page, button) {
  await page.getByRole("button", { name: button }).click();
  await page.waitForFunction(() => document.getElementById("status").textContent.startsWith("Copied"));
  return page.evaluate(() => navigator.clipboard.readText());
}

async function withoutToken(page) {
  assert.equal(await page.locator("#token-section").isVisible(), false);
  assert.match(await run(page), /nothing to send/);

  await page.getByRole("button", { name: "Advisory" }).click();
  for (const name of ["Statistics", "Alerts", "Devices", "Indicators"]) await page.getByLabel(name).check();
  assert.match(await page.locator("#sends").textContent(), /^POST \/api\/hashes\?include=stats,alerts,devices,indicators {2}text\/plain; charset=utf-8/);
  assert.match(await run(page), /1 of 5 hashes NOT checked/);
  const verdicts = await page.locator("#rows tr td:first-child").allTextContents();
  assert.deepEqual(verdicts, ["Malicious", "Suspicious", "Suspicious", "Clean", "NOT CHECKED"]);
  assert.match(await page.locator("#rows tr").first().textContent(), /seen on 2 devices in 30 days; 2 alerts; 2 devices; \d indicators/);
  assert.equal(JSON.parse(await page.locator("#raw").textContent()).summary.total, 5);
  await page.locator("summary").first().click();
  assert.match(await page.locator("details").first().textContent(), /names are for callers with the role Devices\.Read/);
  assert.match(await copied(page, "Copy the query"), /^let hashes = dynamic/);
  await accessible(page);
  await page.screenshot({ path: join(screenshots, "explorer-light.png"), fullPage: true });
  await page.emulateMedia({ colorScheme: "dark" });
  await accessible(page);
  await page.screenshot({ path: join(screenshots, "explorer-dark.png"), fullPage: true });
  await page.setViewportSize({ width: 390, height: 844 });
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), true, "fits a narrow screen");
  await page.screenshot({ path: join(screenshots, "explorer-narrow.png"), fullPage: true });

  await page.getByLabel("Advisory, hashes").fill(`@it's "quoted" $HOME \`x\` \u2019 ${MALWARE}`);
  const curl = await copied(page, "Copy as curl");
  const powershell = await copied(page, "Copy as PowerShell");

  await page.getByLabel("Answer as").selectOption("markdown");
  await run(page);
  assert.match(await page.locator("#raw").textContent(), /\*\*1 of 1 file is malicious\.\*\*/);
  assert.equal(await page.locator("#verdicts").isVisible(), false);

  await page.getByLabel("Answer as").selectOption("json");
  await oddAnswers(page);

  for (const sample of ["One hash", "List of hashes", "Sentinel incident", "Entities - Get FileHashes"]) {
    await page.getByLabel("Answer as").selectOption("json");
    await page.getByRole("button", { name: sample }).click();
    await run(page);
    assert.equal(await page.locator("#rows tr td:first-child").first().textContent(), "Malicious", sample);
  }
  return { curl, powershell };
}

/** Checks the page's status for responses that our service never sends, and for a stale one. */
async function oddAnswers(page) {
  const stale = { hash: MALWARE, verdict: "Clean", stale: true, reasons: [], alerts: { error: { detail: "no role" } }, error: null };
  const answers = [
    [200, "application/json", JSON.stringify(stale), /^Verdict: Clean \(stale\)\. 1 answer from memory .* 1 source of evidence NOT read\.$/],
    [200, "application/json", '{"results":{}}', /another shape/],
    [200, "text/html", "<h1>Sign in</h1>", /status 200/],
    [502, "application/json", '{"detail":{"a":1}}', /status 502/],
  ];
  for (const [status, contentType, body, said] of answers) {
    await page.route("**/api/hashes/**", (route) => route.fulfill({ status, contentType, body }), { times: 1 });
    await page.getByLabel("Advisory, hashes").fill(MALWARE);
    await page.evaluate(() => { document.getElementById("status").textContent = "Sample"; });
    assert.match(await run(page), said);
    assert.equal(await page.locator("#raw").isVisible(), true);
  }
}

async function withToken(page) {
  assert.equal(await page.locator("#token-section").isVisible(), true);
  assert.match(await page.locator("#token-command").textContent(), /^az account get-access-token --scope "api:\/\//);
  await page.getByRole("button", { name: "One hash" }).click();
  assert.match(await run(page), /status 401/);
  assert.match(await page.locator("#problem").textContent(), /token_missing/);
  await accessible(page);
  await page.screenshot({ path: join(screenshots, "explorer-token.png"), fullPage: true });
  await page.getByLabel("Bearer token").fill(token);
  assert.equal(await run(page), "Verdict: Malicious.");
  const kept = await page.evaluate(() => [localStorage.length, sessionStorage.length, document.cookie, location.href]);
  assert.deepEqual(kept, [0, 0, "", `${base}/api/explorer`]);
  const curl = await copied(page, "Copy as curl");
  const powershell = await copied(page, "Copy as PowerShell");
  assert.ok(!`${curl}${powershell}${await page.content()}`.includes(token), "the token is nowhere but in its field");
  await page.reload();
  assert.equal(await page.getByLabel("Bearer token").inputValue(), "");
  return { curl, powershell };
}

(async () => {
  const { page, requests, complaints, close } = await open(`${base}/api/explorer`);
  try {
    const result = await (token ? withToken(page) : withoutToken(page));
    assert.deepEqual(complaints.filter((text) => !/status of (401|502)/.test(text)), []);
    assert.deepEqual(requests.filter((url) => !url.startsWith(`${base}/`) && !url.startsWith("data:")), []);
    console.log(JSON.stringify(result));
  } finally {
    await close();
  }
})().catch((error) => { console.error(error.stack); process.exitCode = 1; });
