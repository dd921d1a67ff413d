// Binds a query from standard input against the hunting and Resource Graph tables of tables.json
// and prints the diagnostics of Microsoft's Kusto language service: one line for each
// error or warning. The exit code is 1 if there is one.
// Source of the tables: https://learn.microsoft.com/defender-xdr/advanced-hunting-schema-tables,
// https://learn.microsoft.com/azure/governance/resource-graph/concepts/query-language
const fs = require("fs");
const service = "@kusto/language-service-next/";
require(service + "bridge.min.js");
require(service + "Kusto.Language.Bridge.min.js");

const { GlobalState, KustoCode, Symbols } = Kusto.Language;
const tables = JSON.parse(fs.readFileSync(__dirname + "/tables.json", "utf8"));
const symbols = Object.entries(tables).map(([name, schema]) => new Symbols.TableSymbol.$ctor7(name, schema, null));
const database = new Symbols.DatabaseSymbol.$ctor1("hunting", symbols, false);
const code = KustoCode.ParseAndAnalyze(fs.readFileSync(0, "utf8"), GlobalState.Default.WithDatabase(database));
const diagnostics = code.GetDiagnostics();
for (let index = 0; index < diagnostics.Count; index++) {
  const diagnostic = diagnostics.getItem(index);
  console.log(`${diagnostic.Severity} at ${diagnostic.Start}: ${diagnostic.Message}`);
}
process.exit(diagnostics.Count > 0 ? 1 : 0);
